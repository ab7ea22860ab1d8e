"""The runs that judge a recipe are trained by one command, which continues where it stopped, and are pooled by toy."""

import json
import re
import shutil
from pathlib import Path

import pytest

from matcaps.training.cli import evaluate, folds
from matcaps.training.data import load
from matcaps.training.data.splits import split
from matcaps.training.engine import loop
from tests.support.options import TINY
from tests.support.runs import config_of

INSTANCES = (4, 6, 7, 8, 9)


def command(root: Path, folder: Path, *options: str) -> int:
    """Train tiny runs of one seed for two epochs."""
    recipe = ["--seeds=0", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={folder}"]
    return folds.main([*recipe, *TINY, "--batch-size=16", "--epochs=2", *options])


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five runs of a recipe and seed."""
    folder = tmp_path_factory.mktemp("recipe")
    assert command(root, folder) == 0
    return folder


def test_every_toy_is_judged_by_three_runs(root: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run trains on two instances, and holds out the three others of every category."""
    images = load("smallnorb", root, stereo=True)
    runs = sorted(trained.iterdir())
    assert [run.name for run in runs] == [f"seed-0-trained-on-{pair}" for pair in ("4-6", "4-9", "6-7", "7-8", "8-9")]
    for run in runs:
        training, held_out = split(config_of(run))
        pair = [int(instance) for instance in run.name.split("-")[-2:]]
        assert training.info["instance"].unique().tolist() == pair
        assert sorted([*pair, *held_out.info["instance"].unique().tolist()]) == list(INSTANCES)
    assert evaluate.main(["folds", str(trained)]) == 0
    assert "± is the standard error over toys" in capsys.readouterr().out
    found = json.loads((trained / "folds.json").read_text())["networks"]["capsules"]
    assert len(found["by_instance"]) == 25
    for instance in INSTANCES:
        pairs = int((images.info["instance"] == instance).sum())
        assert sum(row["images"] for row in found["by_instance"] if row["instance"] == instance) == 3 * pairs
    assert (trained / "folds.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_skips_finished_runs_and_continues_others(
    root: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted in the second run, it continues there, and ends as if nothing had happened."""
    ends: list[int] = []
    end_epoch = loop.end_epoch

    def interrupt(*arguments: object) -> None:
        """End the epoch; after the first epoch of the second run comes Ctrl-C."""
        end_epoch(*arguments)  # type: ignore[arg-type]
        ends.append(len(ends))
        if len(ends) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "end_epoch", interrupt)
        assert command(root, tmp_path) == 130
    assert capsys.readouterr().err.endswith("matcaps: interrupted; the same command continues\n")
    first = (tmp_path / "seed-0-trained-on-4-6" / "last.pt").stat()
    assert command(root, tmp_path) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("run ")]
    assert re.search(r"^run 1 of 5, .*4-6: seed 0, instances 7, 8, 9 held out: finished$", lines[0])
    assert re.search(r"^run 2 of 5, .*6-7: seed 0, instances 4, 8, 9 held out: continues at step 7 of 14$", lines[1])
    assert [line.rpartition(" ")[2] for line in lines[2:]] == ["starts"] * 3
    assert (tmp_path / "seed-0-trained-on-4-6" / "last.pt").stat().st_mtime_ns == first.st_mtime_ns
    for folder in (trained, tmp_path):
        assert evaluate.main(["folds", str(folder)]) == 0
    one, other = (json.loads((folder / "folds.json").read_text()) for folder in (trained, tmp_path))
    assert one == other


def test_two_recipes_are_compared(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two recipes of capsules have the names of their folders; a folder is not compared with itself."""
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    assert evaluate.main(["folds", str(other), f"--baseline={trained}"]) == 0
    out = capsys.readouterr().out
    assert f"{other} against {trained}" in out
    assert f"{other} is not kept: gains of log-loss are 0.0 % (seed 0)" in out
    comparison = json.loads((other / "folds.json").read_text())["comparison"]
    assert comparison["by_seed"][0]["log_loss"]["ratio"] == {"value": 1.0, "standard_error": 0.0}
    assert evaluate.main(["folds", str(other), f"--baseline={other}"]) == 1
    assert "the baseline must be another folder" in capsys.readouterr().err


def test_runs_that_judge_toys_unequally_are_rejected(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the instances of the run that is missing."""
    for run in trained.glob("seed-*"):
        if not run.name.endswith("4-9"):
            shutil.copytree(run, tmp_path / run.name)
    assert evaluate.main(["folds", str(tmp_path)]) == 1
    expected = "3 runs of each seed must hold out every instance, but instance 6 is held out by 2, "
    assert expected in capsys.readouterr().err
    assert evaluate.main(["folds", str(trained), f"--baseline={tmp_path}"]) == 1
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--warp=0.2"], "holds a run with other options: warp was 0.15, now 0.2"),
        (["--seed=1"], "has --seeds instead of --seed, got --seed 1"),
        (["--held-out-instances", "4", "7"], "--held-out-instances is for matcaps train"),
    ],
)
def test_options_that_do_not_fit_the_runs_are_rejected(
    root: Path, trained: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of one folder have one recipe, whose seeds and held-out instances the command chooses."""
    assert command(root, trained, *options) == 1
    assert words in capsys.readouterr().err
