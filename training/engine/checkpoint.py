"""Checkpoint files: the weights and the configuration that rebuilds them, as one unit."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from matcaps.model import CapsNet, CapsNetConfig
from matcaps.training.baselines import ConvNet
from matcaps.training.config import first_fault
from matcaps.training.writing import write_atomically

FORMAT = 1
Network = CapsNet | ConvNet
_NETWORK_CONFIG = TypeAdapter(CapsNetConfig)
ARCHITECTURES: dict[str, type[Network]] = {"capsules": CapsNet, "cnn": ConvNet}


def kind(network: Network) -> str:
    """The name of a network in tables and plots."""
    return "capsules" if isinstance(network, CapsNet) else "CNN"


def save(path: Path, network: Network, **state: Any) -> None:
    """Write a network and further state: tensors, numbers, strings, and lists and dicts of these.

    Raises:
        WriteError: It cannot be written; an older file is unchanged.
    """
    content = {
        "format": FORMAT,
        "architecture": next(name for name, kind in ARCHITECTURES.items() if isinstance(network, kind)),
        "network": asdict(network.config),
        "weights": network.state_dict(),
        **state,
    }
    # In memory first: torch reports a full disk as a RuntimeError about its own buffers.
    whole = io.BytesIO()
    torch.save(content, whole)
    write_atomically(path, lambda file: file.write(whole.getbuffer()))


def load(path: Path) -> dict[str, Any]:
    """Read what ``save`` wrote, without running code from the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a checkpoint, is damaged, or has another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage raises zip, pickle, key or value errors
        raise ValueError(f"{path} is not a complete checkpoint: {type(error).__name__}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} is not a checkpoint of format {FORMAT}, got {found}")
    return content


def rebuild(content: dict[str, Any]) -> Network:
    """The network of a loaded checkpoint, on the CPU, in evaluation mode.

    Raises:
        ValueError: Its configuration is not one of this version, or its weights do not fit.
    """
    try:
        network = ARCHITECTURES[content["architecture"]](_NETWORK_CONFIG.validate_python(content["network"]))
        network.load_state_dict(content["weights"])
    except KeyError as error:
        raise ValueError(f"the checkpoint lacks or does not know {error}") from error
    except ValidationError as error:
        raise ValueError(f"the checkpoint's network is not one of this version: {first_fault(error)}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"the checkpoint's weights do not fit its network: {reason}") from error
    return network.eval()
