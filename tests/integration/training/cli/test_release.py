"""A release has the recipe and the error in its training record; only finished capsules are released."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from matcaps.training.cli import evaluate
from matcaps.training.cli.release import main
from matcaps.training.data.negatives import KINDS
from matcaps.training.data.splits import split
from matcaps.training.engine import checkpoint
from matcaps.training.engine.predict import predict_logits
from matcaps.training.evaluation.runs import open_run
from matcaps.training.release.artefact import Artefact
from tests.support.runs import config_of, metadata_of, train, write_checkpoint


@pytest.fixture(scope="module")
def folds(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one recipe: capsules of two instances and two seeds, a CNN of one seed, and one that held nothing out."""
    folder = tmp_path_factory.mktemp("folds")
    recipe = "smallnorb-stereo-small"
    for instance in (4, 9):
        held_out = f"--held-out-instances={instance}"
        train(recipe, folder / "cnn" / f"fold-{instance}", held_out, "--architecture=cnn", root=root)
        for seed in (0, 1):
            train(recipe, folder / "capsules" / f"{seed}-{instance}", held_out, f"--seed={seed}", root=root)
    train(recipe, folder / "final", "--held-out-instances=None", root=root)
    return folder


def released(run: Path, models: Path, *options: str) -> int:
    return main([str(run), "--name=final", f"--models={models}", *options])


def test_a_run_that_held_nothing_out_trains_on_every_instance(folds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be evaluated on held-out images."""
    assert sorted(split(config_of(folds / "final"))[0].info["instance"].unique().tolist()) == [4, 6, 7, 8, 9]
    assert evaluate.main([str(folds / "final")]) == 1
    assert "held nothing out" in capsys.readouterr().err


def test_the_record_has_the_error_on_held_out_images(version: Path) -> None:
    """A run that held an instance out is evaluated on it."""
    record = metadata_of(version)["training"]
    expected = "instance 4 of each category held out; trained on elevations 0, 1, 2 alone"
    assert record["protocol"] == expected
    assert 0.0 <= record["validation_error"] <= 1.0


def test_a_final_model_is_evaluated_by_runs_that_held_instances_out(
    folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record has their mean error over all images and seeds, the same as the suite folds."""
    records: list[dict[str, Any]] = []

    def fake_release(network: object, record: dict[str, Any], images: torch.Tensor, *where: object) -> Path:
        """Keep the record; an export takes half a minute, and other tests make one."""
        assert images.shape == (64, 2, 48, 48)
        records.append(record)
        return folds / "final" / "last.pt"

    monkeypatch.setattr("matcaps.training.cli.release.release", fake_release)
    capsules = folds / "capsules"
    assert evaluate.main(["folds", str(capsules)]) == 0
    pooled = json.loads((capsules / "folds.json").read_text())["networks"]["capsules"]
    assert released(folds / "final", tmp_path, "--evaluated-by", *map(str, sorted(capsules.glob("?-?")))) == 0
    (record,) = records
    assert record["protocol"].endswith("with instances 4, 9, one at a time, held out, the mean of seeds 0, 1")
    assert record["validation_images"] == sum(
        len(split(config_of(capsules / f"0-{instance}"))[1]) for instance in (4, 9)
    )
    assert record["validation_error"] == pytest.approx(pooled["error"], abs=1e-6)
    assert set(record["nothing"]) == {kind.__name__.replace("_", " ") for kind in KINDS}
    assert all(0.0 <= found["mean"] <= found["highest"] <= 1.0 for found in record["nothing"].values())
    assert (record["stem_channels"], record["pooled_channels"], record["elastic"]) == (4, 32, 1.5)


def test_folds_are_compared_with_a_baseline(folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report has class, instance and seed; the baseline must have the same instances."""
    command = ["folds", str(folds / "capsules")]
    assert evaluate.main([*command, f"--baseline={folds / 'cnn'}"]) == 0
    assert "capsules against CNN" in capsys.readouterr().out
    found = json.loads((folds / "capsules" / "folds.json").read_text())["networks"]
    assert {(row["class"], row["instance"]) for row in found["CNN"]["by_instance"]} == {
        (name, instance) for name in ("animal", "human", "airplane", "truck", "car") for instance in (4, 9)
    }
    assert [row["seed"] for row in found["capsules"]["by_seed"]] == [0, 1]
    assert (folds / "capsules" / "folds.png").read_bytes().startswith(b"\x89PNG")
    shutil.copytree(folds / "cnn" / "fold-4", tmp_path / "fold-4")
    assert evaluate.main([*command, f"--baseline={tmp_path}"]) == 1
    expected = "the runs must hold out the same instances, got {'capsules': [(4,), (9,)], 'CNN': [(4,)]}"
    assert expected in capsys.readouterr().err


def test_release_rejects_runs_that_cannot_evaluate_it(
    folds: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of another recipe, an unfinished one, and one that held nothing out; and any for a run that did."""
    one = folds / "capsules" / "0-4"
    saved = checkpoint.load(one / "last.pt")
    saved["progress"]["step"] -= 1
    write_checkpoint(tmp_path / "unfinished" / "last.pt", saved)
    for run, other, words in (
        (folds / "final", runs / "capsules", "was trained with another recipe: "),
        (folds / "final", tmp_path / "unfinished", "only a finished run can be released or compared"),
        (folds / "final", folds / "final", "held out no instance of smallNORB"),
        (one, folds / "final", "--evaluated-by is for a run that held nothing out"),
    ):
        assert released(run, tmp_path / "models", "--evaluated-by", str(other)) == 1
        assert words in capsys.readouterr().err
    assert released(tmp_path / "unfinished", tmp_path / "models") == 1
    assert "only a finished run" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_release_rejects_a_cnn(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CNN is a baseline only."""
    assert released(runs / "cnn", tmp_path) == 1
    assert "only capsules can be released" in capsys.readouterr().err


def test_a_release_is_calibrated_by_the_held_out_images(version: Path, runs: Path, root: Path) -> None:
    """The artefact's activations are those of the run's network after the recorded slope and offset."""
    record = metadata_of(version)["training"]["calibration"]
    run = open_run(runs / "capsules", root)
    images = run.held_out().images[:8]
    expected = (predict_logits(run.network, images) * record["slope"] + record["offset"]).sigmoid()
    torch.testing.assert_close(Artefact(version).activations(images), expected, atol=1e-4, rtol=0)
    assert record["images"] == len(run.held_out())
    assert 0.0 <= record["calibration_error"] <= 1.0


def test_a_release_that_is_badly_calibrated_is_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has both numbers, and the option with a value that releases it anyway."""
    assert released(runs / "capsules", tmp_path, "--max-calibration-error=-1") == 1
    message = capsys.readouterr().err
    found = re.search(r"must be at most -1 above the 0\.\d+ of chance, got (0\.\d+)", message)
    suggested = re.search(r"--max-calibration-error (\d\S*)", message)
    assert found
    assert suggested
    assert float(suggested[1]) >= float(found[1])
    assert not list(tmp_path.iterdir())
