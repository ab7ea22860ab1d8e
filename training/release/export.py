"""A checkpoint becomes an artefact: exported, held against torch on real images, and only then put in its place."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from matcaps.model import CapsNet
from matcaps.model.export import OUTPUTS, export, outputs, set_metadata
from matcaps.training.engine.checkpoint import write_atomically
from matcaps.training.release.runtime import VERSION, Graph

BOUND = 1e-4
BATCHES = (1, 2, 8)


class ReleaseError(ValueError):
    """The artefact is not fit for release; the message says why."""


def measure_parity(network: CapsNet, proto: onnx.ModelProto, images: Tensor) -> dict[str, Any]:
    """The largest differences between a graph and the network that it was exported from.

    Args:
        network: In evaluation mode, on the CPU.
        proto: Its export.
        images: Real ones, uint8 [n ≥ 8, channels, height, width].

    Raises:
        ReleaseError: A difference exceeds 1e-4 (poses: of their largest element, where that is above 1), or an
            output is not finite for these images or for even ones, or the images fill no batch of 8.
    """
    if len(images) < max(BATCHES):
        raise ReleaseError(f"batches of {max(BATCHES)} are compared, found {len(images)} images")
    graph = Graph(proto)
    worst = {"activations": 0.0, "poses": 0.0}
    for size in BATCHES:
        for batch in images.split(size):
            if len(batch) < size:
                continue
            with torch.no_grad():
                expected = dict(zip(OUTPUTS, outputs(network(batch)), strict=True))
            found = graph.run(batch.numpy())
            _refuse_non_finite(found, "real images")
            for name, values in expected.items():
                difference = float(np.abs(found[name] - values.numpy()).max())
                bound = BOUND * max(1.0, float(values.abs().max())) if name.endswith("poses") else BOUND
                if difference > bound:
                    raise ReleaseError(
                        f"{name} differs by {difference:.2e} from torch at batch {size}, {bound:.0e} may be"
                    )
                if name in worst:
                    worst[name] = max(worst[name], difference)
    for level in (0, 1, 127, 128, 254, 255):
        _refuse_non_finite(graph.run(np.full_like(images[:1].numpy(), level)), f"pixels of {level} alone")
    return {**worst, "batches": list(BATCHES), "torch": torch.__version__, "onnxruntime": VERSION}


def free_version(folder: Path, name: str, version: int | None) -> int:
    """The version to write: the one that is named, or the one after the highest.

    Raises:
        ReleaseError: It is there already, or is none, or the name is not plain.
    """
    if not name or "/" in name or name.startswith("."):
        raise ReleaseError(f"a model needs a plain name, found {name!r}")
    taken = [int(path.name) for path in (folder / name).glob("[1-9]*") if path.name.isdigit()]
    version = max(taken, default=0) + 1 if version is None else version
    if version < 1:
        raise ReleaseError(f"versions count from 1, found {version}")
    if version in taken:
        raise ReleaseError(f"{folder / name / str(version)} is there already; versions are never overwritten")
    return version


def release(
    network: CapsNet,
    record: dict[str, Any],
    images: Tensor,
    folder: Path,
    name: str,
    version: int | None = None,
) -> Path:
    """Export a network to ``folder/name/version/model.onnx``; the version after the highest one by default.

    Raises:
        ReleaseError: The graph is not fit, or that version is there already.
    """
    version = free_version(folder, name, version)
    of_name = folder / name
    proto = export(network, {"training": record})
    set_metadata(proto, {"parity": measure_parity(network, proto, images)})
    onnx.checker.check_model(proto)

    of_name.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=of_name, prefix=".draft-"))
    try:
        content = proto.SerializeToString()
        write_atomically(draft / "model.onnx", lambda file: file.write(content))
        draft.chmod(0o755)
        draft.rename(of_name / str(version))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return of_name / str(version) / "model.onnx"


def _refuse_non_finite(found: dict[str, Any], what: str) -> None:
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ReleaseError(f"{name} is not finite for {what}")
