"""A release is complete and checked, and never overwrites a version."""

import re
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet
from matcaps.model.export import OUTPUTS, outputs
from matcaps.training.engine.predict import predict_logits
from matcaps.training.evaluation.runs import open_run
from matcaps.training.release.artefact import Artefact
from tests.support.runs import metadata_of


def test_a_release_has_its_training_record_and_parity(version: Path) -> None:
    """The metadata have both, and the differences from torch are rounding only."""
    found = metadata_of(version)
    assert found["training"]["data_set"] == "smallnorb"
    assert 0.0 < found["parity"]["activations"] < 1e-5
    assert found["parity"]["batches"] == [1, 2, 8]


def test_a_release_leaves_only_its_version(version: Path) -> None:
    """The first version is 1, without any draft beside it, and everyone may read it."""
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    names = ["README.md", "config.json", "model.onnx", "model.safetensors", "stem.onnx"]
    assert sorted(path.name for path in version.iterdir()) == names
    assert {path.stat().st_mode & 0o777 for path in version.iterdir()} == {0o644}
    assert version.stat().st_mode & 0o777 == 0o755


def test_a_released_network_comes_back_bit_for_bit(version: Path, runs: Path, root: Path) -> None:
    """It answers what the run's network answers after the calibration, and what the graph answers up to rounding."""
    record = metadata_of(version)["training"]["calibration"]
    run = open_run(runs / "capsules", root)
    assert isinstance(run.network, CapsNet)
    images = run.held_out().images[:4]
    uncalibrated = predict_logits(run.network, images)
    run.network.calibration.set(record["slope"], record["offset"])
    loaded = CapsNet.from_pretrained(version)
    with torch.no_grad():
        found, expected = loaded(images, assignments=True), run.network(images, assignments=True)
    assert all(torch.equal(*pair) for pair in zip(outputs(found), outputs(expected), strict=True))
    assert len(outputs(found)) == len(OUTPUTS)
    assert torch.equal(found.logits, expected.logits)
    assert not torch.allclose(found.logits, uncalibrated)
    torch.testing.assert_close(Artefact(version).activations(images), found.activations, atol=1e-4, rtol=0)


def test_the_card_says_how_to_load_the_network(version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Python runs beside the model repository, and its figures are those of the record."""
    card = (version / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    (tmp_path / "model_repository").symlink_to(version.parent.parent)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    assert tuple(names["prediction"].poses.shape) == (1, 5, 4, 4)  # type: ignore[attr-defined]
    record = metadata_of(version)["training"]
    assert f"held-out images is {record['validation_error']:.2%}" in card
    assert f"`{record['command']}`" in card
    assert f"| expected calibration error | {record['calibration']['calibration_error']:.4f}" in card
