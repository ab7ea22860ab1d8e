"""Checkpoint files: the weights and the configuration that rebuilds them, as one unit."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import StrictInt, TypeAdapter, ValidationError

from matcaps.model import CapsNet, CapsNetConfig
from matcaps.training.baselines import ConvNet
from matcaps.training.config import first_fault
from matcaps.training.writing import write_atomically

FORMAT = 1
Network = CapsNet | ConvNet
_NETWORK_CONFIG = TypeAdapter(CapsNetConfig)
ARCHITECTURES: dict[str, type[Network]] = {"capsules": CapsNet, "cnn": ConvNet}


@dataclass(frozen=True)
class _Progress:
    step: StrictInt
    loss: float
    correct: float
    seconds: float


@dataclass(frozen=True)
class _Schedule:
    total_steps: StrictInt
    last_epoch: StrictInt


@dataclass(frozen=True)
class _RunParts:
    """What a run's checkpoint must have to be evaluated; ``State.restore`` checks what resuming needs besides."""

    architecture: Literal["capsules", "cnn"]
    network: dict[str, Any]
    weights: dict[str, Any]
    config: dict[str, Any]
    progress: _Progress
    schedule: _Schedule
    commit: str
    images: str


_RUN_PARTS = TypeAdapter(_RunParts)


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


def load_run(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a checkpoint of a run; the message names the file and the part.
    """
    content = load(path)
    try:
        _RUN_PARTS.validate_python(content)
    except ValidationError as error:
        raise ValueError(f"{path} is not the checkpoint of a run: {first_fault(error)}") from error
    return content


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Begin an error about the content of a checkpoint with its path.

    Raises:
        ValueError: The body raised one.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@contextmanager
def fitting(part: str) -> Iterator[None]:
    """Name the part of a checkpoint that the body cannot load.

    Raises:
        ValueError: The part does not fit; one line.
    """
    try:
        yield
    except Exception as error:  # torch raises key, type, value, attribute and runtime errors
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(f"the checkpoint's {part} cannot be loaded into its network: {reason}") from error


def rebuild(content: dict[str, Any]) -> Network:
    """The network of a loaded checkpoint, on the CPU, in evaluation mode.

    Raises:
        ValueError: Its configuration is not one of this version, or its weights do not fit.
    """
    try:
        config = _NETWORK_CONFIG.validate_python(content["network"])
    except ValidationError as error:
        raise ValueError(f"the checkpoint's network is not one of this version: {first_fault(error)}") from error
    network = ARCHITECTURES[content["architecture"]](config)
    with fitting("weights"):
        network.load_state_dict(content["weights"])
    return network.eval()
