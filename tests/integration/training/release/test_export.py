"""Nothing gets into the folder of models that differs from its checkpoint or answers nonsense."""

import json
from pathlib import Path

import onnx
import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.release.export import ReleaseError, measure_parity, release

IMAGES = torch.randint(0, 256, (16, 1, 24, 24), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def altered(exported: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """A copy of the graph with one weight multiplied."""
    proto = onnx.ModelProto()
    proto.CopyFrom(exported)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name.endswith(name))
    changed = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * factor, tensor.name)
    tensor.CopyFrom(changed.__class__.FromString(changed.SerializeToString()))
    return proto


def test_release_writes_versions_in_turn(network: CapsNet, tmp_path: Path) -> None:
    """The first version is 1, the next 2, and each says how far it is from torch; none is overwritten."""
    first = release(network, {"epochs": 1}, IMAGES, tmp_path, "shapes")
    assert first == tmp_path / "shapes" / "1" / "model.onnx"
    found = {entry.key: json.loads(entry.value) for entry in onnx.load(first).metadata_props}
    assert found["matcaps.training"] == {"epochs": 1}
    assert 0.0 < found["matcaps.parity"]["activations"] < 1e-5
    assert found["matcaps.parity"]["batches"] == [1, 2, 8]
    with pytest.raises(ReleaseError, match="never overwritten"):
        release(network, {}, IMAGES, tmp_path, "shapes", version=1)
    assert sorted(path.name for path in (tmp_path / "shapes").iterdir()) == ["1"]


def test_a_graph_that_differs_is_refused(network: CapsNet, exported: onnx.ModelProto) -> None:
    """A weight of the graph that is off by a hundredth is noticed."""
    with pytest.raises(ReleaseError, match=r"differs by .* from torch"):
        measure_parity(network, altered(exported, "stem.weight", 1.01), IMAGES)


def test_a_graph_that_is_not_finite_is_refused(network: CapsNet, exported: onnx.ModelProto) -> None:
    """Numbers that overflow are noticed before they are compared."""
    with pytest.raises(ReleaseError, match="is not finite for real images"):
        measure_parity(network, altered(exported, "stem.weight", float("inf")), IMAGES)


def test_every_batch_is_compared(network: CapsNet, exported: onnx.ModelProto) -> None:
    """Fewer images than the largest batch has are refused: its size would be named and never run."""
    with pytest.raises(ReleaseError, match="batches of 8 are compared, found 7 images"):
        measure_parity(network, exported, IMAGES[:7])


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_names_are_plain(network: CapsNet, tmp_path: Path, name: str) -> None:
    """A name that would lead elsewhere is refused and leaves nothing."""
    with pytest.raises(ReleaseError, match="plain name"):
        release(network, {}, IMAGES, tmp_path, name)
    assert not list(tmp_path.iterdir())
