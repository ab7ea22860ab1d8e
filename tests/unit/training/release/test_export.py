"""A release goes to a new version of a plain name, or leaves nothing."""

import copy
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.release.export import free_version, release
from matcaps.training.writing import WriteError


def test_the_next_version_is_one_above_the_highest(tmp_path: Path) -> None:
    """The first is 1; other files do not count."""
    assert free_version(tmp_path, "shapes", None) == 1
    for name in ("1", "9", "10", "draft", "007", "1" + "0" * 18, "9" * 25, "1２"):
        (tmp_path / "shapes" / name).mkdir(parents=True)
    assert free_version(tmp_path, "shapes", None) == 11
    assert free_version(tmp_path, "shapes", 5) == 5


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (1, "versions are never overwritten"),
        (0, "the version must be at least 1, got 0"),
        (10**18, "must be at most 999999999999999999, got 1000000000000000000"),
    ],
)
def test_a_version_that_cannot_be_written_is_rejected(tmp_path: Path, version: int, words: str) -> None:
    """A version that exists, is below 1, or is above the highest that the service reads."""
    (tmp_path / "shapes" / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match=words):
        free_version(tmp_path, "shapes", version)


def test_there_is_no_next_version_after_the_highest(tmp_path: Path) -> None:
    """The error names the limit, before anything is exported."""
    (tmp_path / "shapes" / ("9" * 18)).mkdir(parents=True)
    with pytest.raises(ValueError, match="the version must be at most 999999999999999999"):
        free_version(tmp_path, "shapes", None)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_a_name_that_is_not_a_plain_folder_is_rejected(network: CapsNet, tmp_path: Path, name: str) -> None:
    """A name that leads to another folder is rejected before anything is exported or written."""
    images = torch.zeros(8, 1, 24, 24, dtype=torch.uint8)
    with pytest.raises(ValueError, match="plain folder name"):
        release(network, {}, images, tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_found_before_the_export(
    network: CapsNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export takes seconds; the error comes without one."""
    (tmp_path / "models").write_bytes(b"")
    monkeypatch.setattr("matcaps.training.release.export.export", lambda *_: pytest.fail("it is exported"))
    images = torch.zeros(8, 1, 24, 24, dtype=torch.uint8)
    with pytest.raises(WriteError, match=r"model\.onnx: expected a folder at .*models, found a file"):
        release(network, {}, images, tmp_path / "models", "shapes")


def test_a_failed_export_leaves_no_folder(network: CapsNet, tmp_path: Path) -> None:
    """Neither a draft nor the model's folder: here the export refuses a network in training mode."""
    network = copy.deepcopy(network).train()
    images = torch.zeros(8, 1, 24, 24, dtype=torch.uint8)
    with pytest.raises(ValueError, match="evaluation mode"):
        release(network, {}, images, tmp_path / "models", "shapes")
    assert not list(tmp_path.iterdir())
