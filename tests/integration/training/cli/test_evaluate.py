"""Every suite evaluates a run, alone or beside a baseline."""

import json
import re
import shutil
from pathlib import Path

import pytest

from matcaps.training.cli.evaluate import main
from matcaps.training.engine import checkpoint
from tests.support.runs import write_checkpoint

BESIDE_A_BASELINE = ("viewpoint", "adversarial", "poses")


@pytest.mark.parametrize("suite", ["standard", "calibration", "viewpoint", "adversarial", "poses", "routing"])
def test_every_suite_writes_a_report(runs: Path, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a table, and writes JSON and a plot into the run's folder."""
    options = [f"--baseline={runs / 'cnn'}"] if suite in BESIDE_A_BASELINE else []
    options += ["--images=20"] if suite in ("adversarial", "routing") else []
    assert main([suite, str(runs / "capsules"), *options]) == 0
    assert ("CNN" in capsys.readouterr().out) == (suite in BESIDE_A_BASELINE)
    found = json.loads((runs / "capsules" / f"{suite}.json").read_text())
    assert (found["data_set"], found["split"]) == ("smallnorb", "held-out")
    assert (runs / "capsules" / f"{suite}.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_a_baseline_is_evaluated_alone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line says how to get a baseline; a CNN can be evaluated too."""
    assert main(["viewpoint", str(runs / "capsules")]) == 0
    assert "--architecture cnn --keep-epochs" in capsys.readouterr().out
    assert main(["viewpoint", str(runs / "cnn")]) == 0
    table = capsys.readouterr().out
    assert "CNN" in table
    assert "capsules" not in table


@pytest.mark.parametrize(
    ("run", "baseline", "words"),
    [
        ("capsules", "other-instance", "other images than .*: held_out_instances \\(7,\\), not \\(4,\\)"),
        ("capsules", "capsules", "the baseline must be trained with --architecture cnn, but .* holds capsules"),
        ("cnn", "cnn", "compares a CNN with capsules, but .* holds a CNN"),
        ("capsules", "no-epochs", "train with --keep-epochs"),
    ],
)
def test_evaluate_rejects_a_baseline_that_cannot_be_compared(
    runs: Path, tmp_path: Path, run: str, baseline: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CNN trained on the held-out images, one without epochs, one that is none, and a CNN as the run."""
    folders = {"capsules": runs / "capsules", "cnn": runs / "cnn"}
    for name, instance in (("other-instance", 7), ("no-epochs", 4)):
        folders[name] = tmp_path / name
        saved = checkpoint.load(runs / "cnn" / "last.pt")
        saved["config"]["data"]["held_out_instances"] = [instance]
        write_checkpoint(tmp_path / name / "last.pt", saved)
    assert main(["viewpoint", str(folders[run]), f"--baseline={folders[baseline]}"]) == 1
    assert re.search(words, capsys.readouterr().err)


def test_novel_elevations_have_their_own_error(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The suite standard reports the same familiar and novel error as the suite viewpoint."""
    for command in ([str(runs / "capsules")], ["viewpoint", str(runs / "capsules")]):
        assert main(command) == 0
    assert re.search(r"all +novel", capsys.readouterr().out)
    standard, viewpoint = (
        json.loads((runs / "capsules" / f"{suite}.json").read_text()) for suite in ("standard", "viewpoint")
    )
    expected = viewpoint["networks"]["capsules"]
    assert standard["elevation"]["familiar"] == expected["familiar"]
    assert standard["elevation"]["novel"] == expected["novel"]


def test_the_test_split_has_its_own_report(runs: Path, tmp_path: Path) -> None:
    """With --split test all images of the official test split count; --to names another folder."""
    assert main([str(runs / "capsules"), "--split=test", f"--to={tmp_path}"]) == 0
    found = json.loads((tmp_path / "standard-test.json").read_text())
    assert (found["images"], found["split"]) == (40, "test")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["routing", "capsules", "--images=0"], "--images must be at least 1, got 0"),
        (["routing", "cnn"], "the suite routing needs capsules, but .* holds a CNN"),
        (
            ["standard", "capsules", "--data=x"],
            "--data is for a run on a folder of images, but .* was trained on smallnorb; use --root",
        ),
    ],
)
def test_evaluate_rejects_what_a_suite_cannot_do(
    runs: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says what the suite needs."""
    suite, run, *options = arguments
    assert main([suite, str(runs / run), *options]) == 1
    assert re.search(words, capsys.readouterr().err)


def test_an_unfinished_run_is_evaluated_with_a_note(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The note says where it stands; it is not pooled with others."""
    run = tmp_path / "folds" / "run"
    saved = checkpoint.load(runs / "capsules" / "last.pt")
    steps = saved["progress"]["step"]
    saved["progress"]["step"] = steps - 1
    write_checkpoint(run / "last.pt", saved)
    note = f"{run} is at step {steps - 1} of {steps}; matcaps train … --resume continues it"
    assert main([str(run)]) == 0
    assert note in capsys.readouterr().out
    assert main(["adversarial", str(run), "--images=4", f"--baseline={runs / 'cnn'}"]) == 0
    assert note in capsys.readouterr().out
    assert main(["folds", str(run.parent)]) == 1
    assert f"{note}; only a finished run can be released or compared" in capsys.readouterr().err


def test_folds_need_runs(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without runs is rejected, and so is a folder as its own baseline."""
    assert main(["folds", str(tmp_path / "none")]) == 1
    assert f"no runs in {tmp_path / 'none'}: expected NAME/last.pt" in capsys.readouterr().err
    shutil.copytree(runs / "capsules", tmp_path / "folds" / "one")
    assert main(["folds", str(tmp_path / "folds"), f"--baseline={tmp_path / 'folds'}"]) == 1
    assert "the baseline must be another folder" in capsys.readouterr().err
