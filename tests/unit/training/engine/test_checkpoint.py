"""A checkpoint is complete or absent, and rebuilds its network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.engine import checkpoint
from matcaps.training.writing import write_atomically


def test_rebuilt_network_is_the_same(tmp_path: Path, network: CapsNet) -> None:
    """Configuration, weights and further state are restored."""
    path = tmp_path / "run" / "last.pt"
    checkpoint.save(path, network, progress={"step": 7})
    content = checkpoint.load(path)
    rebuilt = checkpoint.rebuild(content)
    images = torch.randint(0, 256, (2, 1, 24, 24), dtype=torch.uint8)
    assert content["progress"] == {"step": 7}
    assert rebuilt.config == network.config
    with torch.no_grad():
        assert torch.equal(rebuilt(images).poses, network(images).poses)


def test_the_competition_is_part_of_the_network(tmp_path: Path) -> None:
    """It is restored; a checkpoint from before it existed is one of competition among all parents."""
    config = replace(tiny(), routing=replace(tiny().routing, competition="positions"))
    checkpoint.save(tmp_path / "last.pt", CapsNet(config))
    content = checkpoint.load(tmp_path / "last.pt")
    assert checkpoint.rebuild(content).config == config
    del content["network"]["routing"]["competition"]
    assert checkpoint.rebuild(content).config == tiny()


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """If writing fails, the old file is unchanged, and no other file is left."""
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("kept", [0, 10, 2000])
def test_truncated_checkpoint_is_named(tmp_path: Path, network: CapsNet, kept: int) -> None:
    """A truncated file is rejected with its name."""
    path = tmp_path / "last.pt"
    checkpoint.save(path, network)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"last\.pt is not a complete checkpoint"):
        checkpoint.load(path)


def test_foreign_and_missing_files_are_named(tmp_path: Path) -> None:
    """A file of another format and a missing file are rejected with their names."""
    path = tmp_path / "other.pt"
    torch.save({"format": 99}, path)
    with pytest.raises(ValueError, match="format 1, got 99"):
        checkpoint.load(path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none\.pt"):
        checkpoint.load(tmp_path / "none.pt")
