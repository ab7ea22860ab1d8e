"""A release writes a new version with its training record and parity, and never overwrites one."""

import json
from pathlib import Path

import onnx
import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.release.export import release

IMAGES = torch.randint(0, 256, (16, 1, 24, 24), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def test_release_writes_the_next_version(network: CapsNet, tmp_path: Path) -> None:
    """The first version is 1; it has its training record and parity, and is not overwritten."""
    first = release(network, {"epochs": 1}, IMAGES, tmp_path, "shapes")
    assert first == tmp_path / "shapes" / "1" / "model.onnx"
    found = {entry.key: json.loads(entry.value) for entry in onnx.load(first).metadata_props}
    assert found["matcaps.training"] == {"epochs": 1}
    assert 0.0 < found["matcaps.parity"]["activations"] < 1e-5
    assert found["matcaps.parity"]["batches"] == [1, 2, 8]
    with pytest.raises(ValueError, match="never overwritten"):
        release(network, {}, IMAGES, tmp_path, "shapes", version=1)
    assert sorted(path.name for path in (tmp_path / "shapes").iterdir()) == ["1"]


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_a_name_that_is_not_a_plain_folder_is_rejected(network: CapsNet, tmp_path: Path, name: str) -> None:
    """A name that leads to another folder is rejected, and nothing is written."""
    with pytest.raises(ValueError, match="plain folder name"):
        release(network, {}, IMAGES, tmp_path, name)
    assert not list(tmp_path.iterdir())
