"""A run learns, resumes exactly where it was killed, and stops at non-finite numbers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from matcaps.cli import main
from matcaps.model import CapsNet, tiny
from matcaps.training.config import (
    AugmentationConfig,
    LossConfig,
    OptimisationConfig,
    TrainConfig,
)
from matcaps.training.engine import checkpoint
from matcaps.training.engine.distributed import join
from matcaps.training.engine.loop import NonFiniteError, prepare, train
from tests.support.options import TINY, tiny_run

SMALL = [*TINY, "--network.image-size=24", "--checkpoint-minutes=0"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def config(shapes: Path, run: Path, **optimisation: Any) -> TrainConfig:
    return tiny_run(str(shapes), run, optimisation=OptimisationConfig(**{"batch_size": 16, **optimisation}))


def resumed(config: TrainConfig) -> TrainConfig:
    """The same run, to be resumed."""
    return replace(config, run=replace(config.run, resume=True))


def log_entries(run: Path) -> list[dict[str, Any]]:
    """The log of a run without the speeds, which differ between runs."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "images_per_s"} for line in lines]


def command(shapes: Path, run: Path, *options: str, batch: int = 16) -> list[str]:
    return [
        "-m",
        "matcaps",
        "train",
        "folder",
        f"--data={shapes}",
        f"--run-folder={run}",
        f"--batch-size={batch}",
        *SMALL,
        *options,
    ]


@pytest.mark.parametrize("loss", ["cross-entropy", "spread"])
def test_training_learns(shapes: Path, tmp_path: Path, loss: Any) -> None:
    """After 25 short epochs the errors on training and held-out images are far below chance (2 in 3)."""
    short = config(shapes, tmp_path / "run", epochs=25, learning_rate=0.01)
    augmentation = AugmentationConfig(brightness=8.0, contrast=(0.5, 1.5))
    path = train(replace(short, augmentation=augmentation, loss=LossConfig(loss)))
    last = log_entries(path.parent)[-1]
    assert last["training_accuracy"] > 0.6
    assert last["held_out_error"] < 0.45


@pytest.mark.parametrize(("architecture", "average_share"), [("capsules", 0.2), ("cnn", 0.0)])
def test_killed_run_resumes_bit_for_bit(shapes: Path, tmp_path: Path, architecture: str, average_share: float) -> None:
    """A run that SIGKILL ended within an epoch and an undisturbed one end with the same bits."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("--epochs=3", f"--architecture={architecture}", f"--average-share={average_share}")  # of 24 steps each
    start = [sys.executable, *command(shapes, killed, *options, batch=4)]
    with subprocess.Popen(start, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        bar = ""
        # A step is logged before it is saved: once the 32nd is logged, the 31st is on the disk.
        while not any(int(step) > 31 for step in re.findall(r" (\d+)/72 ", bar)):
            character = process.stderr.read(1)
            assert character, f"the run ended by itself: {bar}"
            bar += character
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert 30 < checkpoint.load(killed / "last.pt")["progress"]["step"] < 72
    for run, resume in ((whole, ()), (killed, ("--resume",))):
        again = [sys.executable, *command(shapes, run, *options, *resume, batch=4)]
        subprocess.run(again, env=ENVIRONMENT, check=True, capture_output=True)
    ends = [checkpoint.load(run / "last.pt") for run in (whole, killed)]
    for kind in ("weights", "trained_weights"):
        for name, values in ends[0][kind].items():
            assert torch.equal(values, ends[1][kind][name]), f"{kind} {name}"
    first, trained = (next(iter(ends[0][kind].values())) for kind in ("weights", "trained_weights"))
    assert torch.equal(first, trained) == (average_share == 0.0)
    assert log_entries(whole) == log_entries(killed)


def test_run_starts_from_another(shapes: Path, tmp_path: Path) -> None:
    """Its first checkpoint has the weights of the other run, and --resume neither needs nor reads them again."""
    first = train(config(shapes, tmp_path / "first", epochs=2))
    second = replace(config(shapes, tmp_path / "second", epochs=2), start_from=first.parent, seed=0)
    with join("cpu") as worker:
        begun = prepare(second, worker)
    expected = checkpoint.load(first)["weights"]
    found = checkpoint.load(begun.last)["weights"]
    assert all(found[name].equal(values) for name, values in expected.items())
    first.unlink()
    ended = checkpoint.load(train(resumed(second)))
    assert not ended["weights"]["stem.weight"].equal(expected["stem.weight"])
    assert ended["start"]["name"] == "first"
    assert re.fullmatch("[0-9a-f]{64}", ended["start"]["digest"])
    with pytest.raises(FileNotFoundError, match=re.escape(f"no checkpoint at {first}")):
        train(replace(second, run=replace(second.run, folder=tmp_path / "third")))


def test_two_processes_train_as_one(shapes: Path, tmp_path: Path) -> None:
    """Two processes with half a batch each take the same steps as one with whole batches."""
    # Each process has its own batch statistics and random draws; without them the gradients are the same sums.
    options = (
        "--epochs=1",
        "--network.no-batch-norm",
        "--brightness=0",
        "--negatives=0",
        "--warp=0",
        "--contrast",
        "1",
        "1",
        "--network.image-size=20",
        "--precision=float32",  # bfloat16 would round more than two processes may differ by
    )
    single, double = tmp_path / "single", tmp_path / "double"
    subprocess.run(
        [sys.executable, *command(shapes, single, *options)], env=ENVIRONMENT, check=True, capture_output=True
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    subprocess.run(
        [sys.executable, *launcher, *command(shapes, double, *options)],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    ends = [checkpoint.load(run / "last.pt")["weights"] for run in (single, double)]
    for name, values in ends[0].items():
        torch.testing.assert_close(values, ends[1][name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_non_finite_loss_stops_the_run(shapes: Path, tmp_path: Path) -> None:
    """The error names the step and the last checkpoint, which is finite."""
    wild = config(shapes, tmp_path / "run", epochs=50, learning_rate=1e30)
    wild = replace(wild, run=replace(wild.run, checkpoint_minutes=0.0))  # a checkpoint after every step
    with pytest.raises(NonFiniteError, match=r"step \d+: loss .*the last checkpoint is"):
        train(wild)
    weights = checkpoint.load(tmp_path / "run" / "last.pt")["weights"]
    assert all(values.isfinite().all() for values in weights.values())


def test_a_run_is_not_overwritten(shapes: Path, tmp_path: Path) -> None:
    """A folder that holds a run is rejected without --resume, and with it if an option has changed."""
    first = config(shapes, tmp_path / "run", epochs=1)
    train(first)
    with pytest.raises(FileExistsError, match="--resume"):
        train(first)
    with pytest.raises(ValueError, match=r"epochs was 1, now 2"):
        train(resumed(config(shapes, tmp_path / "run", epochs=2)))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        train(resumed(config(shapes, tmp_path / "none", epochs=1)))


def test_a_run_too_short_for_its_schedule_is_rejected(shapes: Path, tmp_path: Path) -> None:
    """The rate needs more than one step to rise."""
    with pytest.raises(ValueError, match=r"a run of 6 steps is too short for its rate to rise over 0\.1 of them"):
        train(config(shapes, tmp_path / "run", epochs=1, warmup_share=0.1))


def test_data_that_do_not_fit_the_network_are_rejected(shapes: Path, tmp_path: Path) -> None:
    """Other classes, or fewer images than a batch, are rejected before anything is written."""
    with pytest.raises(ValueError, match="classes"):
        train(replace(config(shapes, tmp_path / "run"), network=replace(tiny(), classes=("a", "b"))))
    with pytest.raises(ValueError, match="do not fill one batch of 500"):
        train(config(shapes, tmp_path / "run", batch_size=500))
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_early_leaves_its_first_checkpoint(shapes: Path, tmp_path: Path) -> None:
    """It has the initial weights, and the folder can be used for another run."""
    wild = config(shapes, tmp_path / "run", epochs=1, learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=re.escape(f"the last checkpoint is {tmp_path / 'run' / 'last.pt'}")):
        train(wild)
    saved = checkpoint.load(tmp_path / "run" / "last.pt")
    assert saved["progress"]["step"] == 0
    torch.manual_seed(wild.seed)
    for name, values in CapsNet(wild.network).state_dict().items():
        assert torch.equal(saved["weights"][name], values), name
    train(config(shapes, tmp_path / "run", epochs=1, learning_rate=0.01))  # as the message says


def test_a_changed_folder_of_images_is_rejected(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run finds its images from any working folder, and rejects a folder where images were added."""
    images, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(shapes, images)
    monkeypatch.chdir(tmp_path)
    first = config(Path("images"), run, epochs=1)
    train(first)
    train(replace(config(Path("images"), tmp_path / "cnn", epochs=1), architecture="cnn"))
    assert checkpoint.load(run / "last.pt")["config"]["data"]["name"] == str(images)
    monkeypatch.chdir("/")
    assert main(["evaluate", str(run)]) == 0
    shutil.copy(images / "square" / "00.png", images / "circle" / "zz.png")
    for command in (["evaluate"], ["release", "--name=x", f"--models={tmp_path / 'models'}"]):
        assert main([*command, str(run)]) == 1
        assert f"{images} holds other images than when {run} was trained" in capsys.readouterr().err
    train(config(images, tmp_path / "new", epochs=1))
    assert main(["evaluate", "adversarial", str(tmp_path / "new"), f"--baseline={tmp_path / 'cnn'}"]) == 1
    assert f"than when {tmp_path / 'cnn'} was trained" in capsys.readouterr().err
    with pytest.raises(ValueError, match="holds other images than when the run in"):
        train(resumed(config(images, run, epochs=1)))
    assert not (tmp_path / "models").exists()
