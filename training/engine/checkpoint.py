"""A run on disk: weights, the configuration that rebuilds them and how far the run has come, as one unit."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch

from matcaps.model import CapsNet, CapsNetConfig, RoutingConfig
from matcaps.training.baselines import ConvNet

FORMAT = 1
Network = CapsNet | ConvNet
ARCHITECTURES: dict[str, type[Network]] = {"capsules": CapsNet, "cnn": ConvNet}


def kind(network: Network) -> str:
    """What tables and pictures call a network."""
    return "capsules" if isinstance(network, CapsNet) else "CNN"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have ``write`` fill a file that appears under its name only when it is whole and on the disk."""
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
    """Write the network and what else is given (tensors, numbers, text, lists and dicts of these)."""
    content = {
        "format": FORMAT,
        "architecture": next(name for name, kind in ARCHITECTURES.items() if isinstance(network, kind)),
        "network": asdict(network.config),
        "weights": network.state_dict(),
        **state,
    }
    write_atomically(path, lambda file: torch.save(content, file))


def load(path: Path) -> dict[str, Any]:
    """Read what ``save`` wrote; runs no code of the file's.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, is damaged, or is of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damage led to: zip, pickle, key and value errors
        raise ValueError(f"{path} is not a whole checkpoint: {type(error).__name__}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} is not a checkpoint of format {FORMAT}, found {found}")
    return content


def rebuild(content: dict[str, Any]) -> Network:
    """The network of a loaded checkpoint, on the CPU, in evaluation mode."""
    fields = dict(content["network"])
    config = CapsNetConfig(
        **{**fields, "classes": tuple(fields["classes"]), "routing": RoutingConfig(**fields["routing"])}
    )
    network = ARCHITECTURES[content.get("architecture", "capsules")](config)
    network.load_state_dict(content["weights"])
    return network.eval()
