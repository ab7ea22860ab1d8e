"""What a run trains on and is judged by, on a small smallNORB of random pictures: the whole way by the command line."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from matcaps.training.__main__ import main
from matcaps.training.baselines import ConvNet
from matcaps.training.config import RECIPES, TrainConfig, restore
from matcaps.training.engine import checkpoint
from matcaps.training.engine.loop import train
from matcaps.training.splits import held_out_folds, split
from tests.support.options import TINY
from tests.support.writers import prepared

SMALL = [*TINY, "--batch-size=16"]
CHECKPOINT = ("format", "architecture", "network", "weights")  # what checkpoint.save knows by itself


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets."""
    root = tmp_path_factory.mktemp("data")
    (root / "smallnorb").mkdir()
    np.savez(root / "smallnorb" / "train_48.npz", **prepared(300))  # type: ignore[arg-type]
    return root


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capsules and a CNN that saw the three lowest elevations alone, two epochs each."""
    runs = tmp_path_factory.mktemp("runs")
    for name, options in (("capsules", []), ("cnn", ["--architecture=cnn", "--keep-epochs"])):
        command = ["train", "smallnorb-elevation", f"--root={root}", f"--run-folder={runs / name}", *SMALL, *options]
        assert main([*command, "--epochs=2"]) == 0
    return runs


def config_of(run: Path) -> TrainConfig:
    return restore(checkpoint.load(run / "last.pt")["config"])


def save_again(path: Path, saved: dict[str, Any]) -> None:
    """Write what a checkpoint held, altered."""
    state = {name: value for name, value in saved.items() if name not in CHECKPOINT}
    checkpoint.save(path, checkpoint.rebuild(saved), **state)


def record_of(version: Path) -> dict[str, Any]:
    """What an artefact says of its training."""
    entries = onnx.load(version / "model.onnx").metadata_props
    record: dict[str, Any] = json.loads(next(entry.value for entry in entries if entry.key == "matcaps.training"))
    return record


def test_a_run_sees_its_elevations_alone(runs: Path) -> None:
    """It trains on the named ones, of instances that are not held out, and holds out all elevations of the other."""
    training, held_out = split(config_of(runs / "capsules"))
    assert set(training.info["elevation"].tolist()) == {0, 1, 2}
    assert 4 not in training.info["instance"].tolist()
    assert set(held_out.info["elevation"].tolist()) == set(range(9))
    assert set(held_out.info["instance"].tolist()) == {4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--elevations", "0", "9"], "smallnorb has no elevation 9; there are 0, 1, 2"),
        (["--elevations", "0", "--lightings", "1"], "not both"),
        (["--held-out-instance", "5"], "no instance 5"),
    ],
)
def test_values_that_are_not_there(
    root: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused before anything is written."""
    command = ["train", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={tmp_path / 'run'}", *SMALL]
    assert main([*command, *options]) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_epoch_is_kept(runs: Path) -> None:
    """Where it is asked for, and each rebuilds the network that it is of."""
    kept = sorted(path.name for path in (runs / "cnn").glob("epoch-*.pt"))
    assert kept == ["epoch-1.pt", "epoch-2.pt"]
    assert isinstance(checkpoint.rebuild(checkpoint.load(runs / "cnn" / "epoch-1.pt")), ConvNet)
    assert not list((runs / "capsules").glob("epoch-*.pt"))


@pytest.mark.parametrize("suite", ["standard", "viewpoint", "adversarial", "poses", "routing"])
def test_suites(runs: Path, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prints a table and leaves JSON and a picture in the run's folder."""
    assert (
        main(["evaluate", suite, f"--run-folder={runs / 'capsules'}", f"--baseline={runs / 'cnn'}", "--images=20"]) == 0
    )
    assert ("CNN" in capsys.readouterr().out) == (suite in ("viewpoint", "adversarial", "poses"))
    assert isinstance(json.loads((runs / "capsules" / f"{suite}.json").read_text()), dict)
    assert (runs / "capsules" / f"{suite}.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_baseline(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The capsules stand alone, and a line says how to get something to compare them with."""
    assert main(["evaluate", "viewpoint", f"--run-folder={runs / 'capsules'}"]) == 0
    assert "--architecture cnn --keep-epochs" in capsys.readouterr().out
    assert main(["evaluate", "viewpoint", f"--run-folder={runs / 'cnn'}"]) == 0
    table = capsys.readouterr().out
    assert "CNN" in table
    assert "capsules" not in table


def test_baselines_that_are_none(runs: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CNN that was trained on what it would be judged by, that kept no epochs, or that is none; and a CNN's own."""
    command = ["train", "smallnorb-elevation", f"--root={root}", *SMALL, "--epochs=2", "--architecture=cnn"]
    for name, options in (("knows", ["--held-out-instance=7"]), ("short", [])):
        assert main([*command, *options, f"--run-folder={tmp_path / name}"]) == 0
    capsys.readouterr()
    for run, baseline, words in (
        ("capsules", tmp_path / "knows", "other images than .*: held_out_instance 7, not 4"),
        ("capsules", runs / "capsules", "holds capsules; a baseline is trained with --architecture cnn"),
        ("cnn", runs / "cnn", "holds a CNN; a baseline stands beside capsules"),
        ("capsules", tmp_path / "short", "train with --keep-epochs"),
    ):
        assert main(["evaluate", "viewpoint", f"--run-folder={runs / run}", f"--baseline={baseline}"]) == 1
        assert re.search(words, capsys.readouterr().err)


def test_what_a_run_never_saw_has_its_own_error(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three elevations trained on, the standard suite tells the others' error as the viewpoint suite does."""
    for suite in ("standard", "viewpoint"):
        assert main(["evaluate", suite, f"--run-folder={runs / 'capsules'}"]) == 0
    assert re.search(r"all +novel", capsys.readouterr().out)
    found, expected = (
        json.loads((runs / "capsules" / f"{suite}.json").read_text()) for suite in ("standard", "viewpoint")
    )
    of_networks = expected["networks"]["capsules"]
    assert (found["elevation"]["familiar"], found["elevation"]["novel"]) == (
        of_networks["familiar"],
        of_networks["novel"],
    )
    assert (found["data_set"], found["split"]) == ("smallnorb", "held-out")


def test_no_images(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of none there is nothing to say."""
    assert main(["evaluate", "routing", f"--run-folder={runs / 'capsules'}", "--images=0"]) == 1
    assert "--images must be at least 1, found 0" in capsys.readouterr().err


def test_a_cnn_is_not_released(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there to compare with; nothing routes in it either."""
    assert main(["release", f"--run-folder={runs / 'cnn'}", "--name=x", f"--models={tmp_path}"]) == 1
    assert "only capsules are released" in capsys.readouterr().err
    assert main(["evaluate", "routing", f"--run-folder={runs / 'cnn'}"]) == 1
    assert "nothing is routed" in capsys.readouterr().err


def test_a_final_model(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing held out it trains on every instance, is released, and says so; there is nothing to judge it by."""
    run, models = tmp_path / "run", tmp_path / "models"
    command = ["train", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={run}", *SMALL]
    options = ("--epochs=1", "--warp=0.1", "--mixup=0.2", "--network.residual-blocks=1")
    assert main([*command, *options, "--held-out-instance", "None"]) == 0
    assert "nothing held out" in capsys.readouterr().out
    assert sorted(split(config_of(run))[0].info["instance"].unique().tolist()) == [4, 6, 7, 8, 9]
    assert main(["evaluate", f"--run-folder={run}"]) == 1
    assert "held nothing out" in capsys.readouterr().err
    assert main(["release", f"--run-folder={run}", "--name=final", f"--models={models}"]) == 0
    record = record_of(models / "final" / "1")
    assert record["protocol"] == "all instances, nothing held out"
    assert record["validation_error"] is None
    assert (record["warp"], record["mixup"], record["label_smoothing"]) == (0.1, 0.2, 0.1)
    assert (record["pooled_channels"], record["stem_channels"], record["residual_blocks"]) == (32, 4, 1)
    assert (record["batch_norm"], record["gradient_clip"], record["last_margin"]) == (True, 5.0, 0.9)
    assert not {"root", "run_folder", "data", "classes"} & record.keys()
    assert record["routing"]["density_temperature"] == 4.0


def test_a_final_model_of_some_elevations(root: Path, tmp_path: Path) -> None:
    """All instances, seen from below alone: there is nothing to hold out, and that is no error."""
    run = tmp_path / "run"
    command = ["train", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={run}", *SMALL, "--epochs=1"]
    assert main([*command, "--held-out-instance", "None", "--elevations", "0", "1", "2"]) == 0
    assert main(["release", f"--run-folder={run}", "--name=low", f"--models={tmp_path / 'models'}"]) == 0
    record = record_of(tmp_path / "models" / "low" / "1")
    assert record["protocol"] == "all instances, nothing held out; trained on elevations 0, 1, 2 alone"


def test_a_final_model_is_judged_by_runs_that_held_instances_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its record has their mean error and says whose; runs of another recipe, or that can tell nothing, are refused."""

    def train(name: str, *options: str) -> str:
        command = ["train", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={tmp_path / name}", *SMALL]
        assert main([*command, "--epochs=1", *options]) == 0
        return str(tmp_path / name)

    final = train("final", "--held-out-instance", "None")
    folds = [train(f"fold-{instance}", f"--held-out-instance={instance}") for instance in (4, 9)]
    other = train("other", "--warp=0.2")
    wrong = images = 0
    for fold in folds:
        assert main(["evaluate", f"--run-folder={fold}"]) == 0
        found = json.loads((Path(fold) / "standard.json").read_text())
        wrong, images = wrong + round(found["error"] * found["images"]), images + found["images"]
    capsys.readouterr()
    release = ["release", f"--run-folder={final}", "--name=final", f"--models={tmp_path / 'models'}", "--judged-by"]
    assert main([*release, *folds]) == 0
    record = record_of(tmp_path / "models" / "final" / "1")
    assert record["protocol"].endswith("the same recipe with instances 4, 9, one at a time, held out")
    assert record["validation_error"] == pytest.approx(wrong / images, abs=1e-6)
    assert record["validation_images"] == images
    assert main([*release, other]) == 1
    assert "another warp" in capsys.readouterr().err
    assert main([*release, folds[0], folds[0]]) == 1
    assert "both held out instance 4, by seed 0" in capsys.readouterr().err
    assert main([*release, final]) == 1
    assert "held nothing out" in capsys.readouterr().err
    assert main(["release", f"--run-folder={folds[0]}", "--name=x", f"--models={tmp_path}", "--judged-by", final]) == 1
    assert "judged by them" in capsys.readouterr().err


def test_folds(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of runs that held out an instance each, of two seeds, is pooled, beside a folder of the CNN's of one."""

    def train(kind: str, name: str, *options: str) -> None:
        command = ["train", "smallnorb-stereo-small", f"--root={root}", f"--run-folder={tmp_path / kind / name}"]
        assert main([*command, *SMALL, "--epochs=1", *options]) == 0

    for instance in (4, 9):
        train("cnn", f"fold-{instance}", "--architecture=cnn", f"--held-out-instance={instance}")
        for seed in (0, 1):
            train("capsules", f"{seed}-{instance}", f"--seed={seed}", f"--held-out-instance={instance}")
    evaluate = ["evaluate", "folds", f"--run-folder={tmp_path / 'capsules'}"]
    assert main([*evaluate, f"--baseline={tmp_path / 'cnn'}"]) == 0
    assert "times that of CNN" in capsys.readouterr().out
    found = json.loads((tmp_path / "capsules" / "folds.json").read_text())["networks"]
    assert {(row["class"], row["instance"]) for row in found["CNN"]["by_instance"]} == {
        (name, instance) for name in ("animal", "human", "airplane", "truck", "car") for instance in (4, 9)
    }
    assert [row["seed"] for row in found["capsules"]["by_seed"]] == [0, 1]
    assert (tmp_path / "capsules" / "folds.png").read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(tmp_path / "cnn" / "fold-9")
    assert main([*evaluate, f"--baseline={tmp_path / 'cnn'}"]) == 1
    assert "found the held-out instances {'capsules': [4, 9], 'CNN': [4]}" in capsys.readouterr().err

    final = ["release", "--name=mean", f"--models={tmp_path / 'models'}", f"--run-folder={tmp_path / 'final'}"]
    train(".", "final", "--held-out-instance=None")
    assert main([*final, "--judged-by", *map(str, sorted(tmp_path.glob("capsules/*-*")))]) == 0
    record = record_of(tmp_path / "models" / "mean" / "1")
    assert record["protocol"].endswith("with instances 4, 9, one at a time, held out, the mean of seeds 0, 1")
    runs = [config_of(tmp_path / "capsules" / f"0-{instance}") for instance in (4, 9)]
    assert record["validation_images"] == sum(len(split(run)[1]) for run in runs)
    assert record["validation_error"] == pytest.approx(found["capsules"]["error"], abs=1e-6)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([(0, None)], "a held nothing out of smallNORB"),
        ([(0, 4), (1, 4), (1, 4)], "b and c both held out instance 4, by seed 1"),
        ([(0, 4), (0, 6), (1, 6)], "runs of another seed held out [4], none of seed 1 did"),
    ],
)
def test_folds_that_cannot_be_pooled(seen: list[tuple[int, int | None]], words: str) -> None:
    """Each run must hold an instance out, and every seed the same ones, once."""
    configs = [
        replace(RECIPES["smallnorb"][1], seed=seed, held_out_instance=instance, run_folder=Path(name))
        for (seed, instance), name in zip(seen, "abc", strict=False)
    ]
    with pytest.raises(ValueError, match=re.escape(words)):
        held_out_folds(configs)


def test_folds_of_other_data(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are no instances, an empty folder holds no runs, capsules are no baseline, and the test split is no fold."""
    with pytest.raises(ValueError, match="held nothing out of smallNORB"):
        held_out_folds([RECIPES["mnist"][1]])
    shutil.copytree(runs / "capsules", tmp_path / "folds" / "one")
    for options, words in (
        ([f"--run-folder={tmp_path / 'none'}"], "no run in a folder of"),
        ([f"--run-folder={tmp_path / 'folds'}", f"--baseline={tmp_path / 'folds'}"], "--architecture cnn"),
        ([f"--run-folder={tmp_path / 'folds'}", "--split=test"], "folds are judged by what each run held out"),
    ):
        assert main(["evaluate", "folds", *options]) == 1
        assert words in capsys.readouterr().err


def test_a_run_that_is_not_at_its_end(
    runs: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be asked, which says where it stands; it is neither released nor judged beside others."""
    run = tmp_path / "folds" / "run"
    saved = checkpoint.load(runs / "capsules" / "last.pt")
    steps = saved["progress"]["step"]
    saved["progress"]["step"] = steps - 1
    save_again(run / "last.pt", saved)
    words = f"{run} stands at step {steps - 1} of {steps}"
    assert main(["evaluate", f"--run-folder={run}"]) == 0
    assert words in capsys.readouterr().out
    adversarial = ["evaluate", "adversarial", "--images=4", f"--run-folder={run}", f"--baseline={runs / 'cnn'}"]
    assert main(adversarial) == 0
    assert words in capsys.readouterr().out
    final = tmp_path / "final"
    options = [f"--root={root}", *SMALL, "--epochs=2", "--held-out-instance=None", f"--run-folder={final}"]
    assert main(["train", "smallnorb-elevation", *options]) == 0
    for command in (
        ["release", f"--run-folder={run}", "--name=x", f"--models={tmp_path / 'models'}"],
        ["release", f"--run-folder={final}", "--name=x", f"--models={tmp_path / 'models'}", "--judged-by", str(run)],
        ["evaluate", "folds", f"--run-folder={run.parent}"],
    ):
        assert main(command) == 1
        assert f"{words} (train … --resume goes on): only the end of a run" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_runs_of_before_an_option_go_on(runs: Path, root: Path) -> None:
    """A checkpoint that knows no later option is one that left it at its default."""
    path = runs / "capsules" / "last.pt"
    saved = checkpoint.load(path)
    for name in ("mixup", "warp", "mirror", "weight_decay", "label_smoothing", "keep_epochs", "lightings"):
        del saved["config"][name]
    del saved["architecture"]
    config = restore(saved["config"])
    assert (config.mixup, config.keep_epochs, config.elevations) == (0.0, False, (0, 1, 2))
    saved["progress"]["best_error"] = 0.5  # was told of once
    save_again(path, saved)
    train(TrainConfig(**{**vars(config), "resume": True, "root": root}))  # which would refuse other options
