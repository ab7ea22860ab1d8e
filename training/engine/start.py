"""The trained network that a new run starts from: which it is, and which of its weights are taken over."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from matcaps.model import CapsNet
from matcaps.model.pretrained import CONFIG_FILE, WEIGHTS_FILE
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
    """Open the weights that ``--start-from`` names: a run's folder, a released version, or its ``model.safetensors``.

    Raises:
        FileNotFoundError: There are none; the message says what was expected.
        ValueError: They are damaged, or the version was released without them.
    """
    path = path.resolve()
    if path.name == WEIGHTS_FILE:
        path = path.parent
    if (path / "last.pt").is_file():
        saved = checkpoint.load_run(path / "last.pt")
        with checkpoint.naming(path / "last.pt"):
            network = checkpoint.rebuild(saved)
        return Start(path.name, digest_of(network), network)
    if (path / WEIGHTS_FILE).is_file() or (path / CONFIG_FILE).is_file():
        of_version = path.name.isdigit()
        network = CapsNet.from_pretrained(path)
        return Start(f"{path.parent.name}/{path.name}" if of_version else path.name, digest_of(network), network)
    if (path / "model.onnx").is_file():
        raise ValueError(f"{path} was released without {WEIGHTS_FILE}; start from its run, or release it again")
    versions = sorted((of.parent.name for of in path.glob(f"*/{WEIGHTS_FILE}")), key=lambda name: (len(name), name))
    if versions:
        raise FileNotFoundError(f"{path} holds several versions; name one, such as {path / versions[-1]}")
    raise FileNotFoundError(
        f"no checkpoint at {path / 'last.pt'}: --start-from must name the folder of a run, a released version such as "
        f"model_repository/mnist/6, or its {WEIGHTS_FILE}"
    )


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
