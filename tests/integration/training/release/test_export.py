"""A release is complete and checked, and never overwrites a version."""

from pathlib import Path

from tests.support.runs import metadata_of


def test_a_release_has_its_training_record_and_parity(version: Path) -> None:
    """The metadata have both, and the differences from torch are rounding only."""
    found = metadata_of(version)
    assert found["training"]["data_set"] == "smallnorb"
    assert 0.0 < found["parity"]["activations"] < 1e-5
    assert found["parity"]["batches"] == [1, 2, 8]


def test_a_release_leaves_only_its_version(version: Path) -> None:
    """The first version is 1, without any draft beside it, and its folder may be read by everyone."""
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    assert [path.name for path in version.iterdir()] == ["model.onnx"]
    assert version.stat().st_mode & 0o777 == 0o755
