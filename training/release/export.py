"""Writes a release: graph, weights, configuration and card, after the parity check, in a new version's folder."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import onnx
from torch import Tensor

from matcaps.model import CapsNet
from matcaps.model.export import export, metadata, set_metadata
from matcaps.model.pretrained import contents
from matcaps.model.sources import VERSION
from matcaps.training.release.card import model_card
from matcaps.training.release.parity import measure_parity
from matcaps.training.writing import new_folder, write_atomically, writing

HIGHEST_VERSION = 10**18 - 1  # as in the service, of which training imports nothing


def free_version(folder: Path, name: str, version: int | None) -> int:
    """The version to write: the given one, or by default the one after the highest.

    Raises:
        ValueError: The version exists or is not one that the service reads, or the name is not a plain folder name.
    """
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"the name of a model must be a plain folder name, got {name!r}")
    # The service refuses other folders, so they do not count.
    taken = [int(path.name) for path in (folder / name).glob("*") if VERSION.fullmatch(path.name)]
    version = max(taken, default=0) + 1 if version is None else version
    if version < 1:
        raise ValueError(f"the version must be at least 1, got {version}")
    if version > HIGHEST_VERSION:
        raise ValueError(f"the version must be at most {HIGHEST_VERSION}, got {version}")
    if version in taken:
        raise ValueError(f"{folder / name / str(version)} exists already; versions are never overwritten")
    return version


def release(
    network: CapsNet,
    record: dict[str, Any],
    images: Tensor,
    folder: Path,
    name: str,
    version: int | None = None,
) -> Path:
    """Export a network into the folder ``folder/name/version``; by default the version after the highest one.

    The folder has the graph (``model.onnx``), the network for torch (``model.safetensors``, ``config.json``) and the
    model card (``README.md``). It appears with all of them, or not at all.

    Args:
        network: In evaluation mode, on the CPU.
        record: Its training record.
        images: Real images for the parity check.
        folder: The model repository.
        name: Name of the model.
        version: Version to write.

    Returns:
        The path of ``model.onnx``.

    Raises:
        ValueError: The graph fails the parity check, or the version exists already.
        WriteError: The file cannot be written; no draft and no new folder is left.
    """
    version = free_version(folder, name, version)
    of_name = folder / name
    path = of_name / str(version) / "model.onnx"
    # The draft's folder comes first. Where nothing can be written, the error does not wait for the export.
    with writing(path), new_folder(of_name):
        draft = Path(tempfile.mkdtemp(dir=of_name, prefix=".draft-"))
        try:
            for file_name, content in _files(network, record, images, name, version).items():
                write_atomically(draft / file_name, partial(_write, content))
            draft.chmod(0o755)
            draft.rename(path.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return path


def _files(network: CapsNet, record: dict[str, Any], images: Tensor, name: str, version: int) -> dict[str, bytes]:
    """The files of a version by name, after the parity check."""
    proto = export(network, {"training": record})
    parity = measure_parity(network, proto, images)
    set_metadata(proto, {"parity": parity})
    onnx.checker.check_model(proto)
    card = model_card(name, version, {**metadata(network), "training": record, "parity": parity})
    return {
        "model.onnx": proto.SerializeToString(),
        **contents(network.config, network.state_dict()),
        "README.md": card.encode(),
    }


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)
