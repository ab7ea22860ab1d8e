"""The trained network that a new run starts from: which it is, and which of its weights are taken over."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from matcaps.model import CapsNet
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import Network, kind


class Start(NamedTuple):
    """A trained network to start from.

    Attributes:
        name: Of the run or the released model, without the path.
        digest: Of its weights.
        network: On the CPU.
    """

    name: str
    digest: str
    network: Network


def open_start(path: Path) -> Start:
    """Open the weights that ``--start-from`` names.

    Raises:
        FileNotFoundError: There are none; the message says what was expected.
        ValueError: They are damaged, or their format has no weights to start from.
    """
    if (path / "last.pt").is_file():
        saved = checkpoint.load_run(path / "last.pt")
        with checkpoint.naming(path / "last.pt"):
            network = checkpoint.rebuild(saved)
        return Start(path.resolve().name, digest_of(network), network)
    raise FileNotFoundError(f"no checkpoint at {path / 'last.pt'}: --start-from must name the folder of a run")


def digest_of(network: Network) -> str:
    """A digest of the names and values of a network's weights."""
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        digest.update(f"{name} {list(values.shape)}".encode())
        digest.update(values.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def take_over(network: Network, start: Start) -> dict[str, Tensor]:
    """The weights of a trained network that another one can begin with: all, or all but the class layer's.

    The class layer and its calibration are left out if the classes differ, in name or order.

    Raises:
        ValueError: It is another network; the message names the options that differ.
    """
    theirs = start.network
    if type(theirs) is not type(network):
        raise ValueError(f"expected weights of {kind(network)}, got those of {kind(theirs)}")
    ours_, theirs_ = ({**asdict(of.config), "classes": None} for of in (network, theirs))
    if differing := [name for name in ours_ if ours_[name] != theirs_[name]]:
        values = ", ".join(f"{name} is {ours_[name]}, theirs {theirs_[name]}" for name in differing)
        raise ValueError(f"the weights belong to another network: {values}")
    weights = theirs.state_dict()
    if network.config.classes == theirs.config.classes:
        return weights
    of_classes = ("class_caps.", "calibration.") if isinstance(network, CapsNet) else ("last.",)
    return {name: values for name, values in weights.items() if not name.startswith(of_classes)}


def describe_start(start: Start, network: Network, taken: dict[str, Tensor]) -> str:
    """Which parts of a network were taken over, and which are new."""
    parts = dict.fromkeys(name.partition(".")[0] for name in network.state_dict())
    kept = dict.fromkeys(name.partition(".")[0] for name in taken)
    lines = [f"starts from {start.name} (digest {start.digest[:16]})", f"  taken over: {', '.join(kept)}"]
    if new := [part for part in parts if part not in kept]:
        lines.append(f"  new: {', '.join(new)}; the classes there were {', '.join(start.network.config.classes)}")
    return "\n".join(lines)
