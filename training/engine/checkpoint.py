"""Checkpoint files: the weights and the configuration that rebuilds them, as one unit."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from pydantic import TypeAdapter

from matcaps.model import CapsNet, CapsNetConfig
from matcaps.training.baselines import ConvNet

FORMAT = 1
Network = CapsNet | ConvNet
_NETWORK_CONFIG = TypeAdapter(CapsNetConfig)
ARCHITECTURES: dict[str, type[Network]] = {"capsules": CapsNet, "cnn": ConvNet}


def kind(network: Network) -> str:
    """The name of a network in tables and plots."""
    return "capsules" if isinstance(network, CapsNet) else "CNN"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that appears under its name only when it is complete and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save(path: Path, network: Network, **state: Any) -> None:
    """Write a network and further state: tensors, numbers, strings, and lists and dicts of these."""
    content = {
        "format": FORMAT,
        "architecture": next(name for name, kind in ARCHITECTURES.items() if isinstance(network, kind)),
        "network": asdict(network.config),
        "weights": network.state_dict(),
        **state,
    }
    write_atomically(path, lambda file: torch.save(content, file))


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
    """The network of a loaded checkpoint, on the CPU, in evaluation mode."""
    network = ARCHITECTURES[content["architecture"]](_NETWORK_CONFIG.validate_python(content["network"]))
    network.load_state_dict(content["weights"])
    return network.eval()
