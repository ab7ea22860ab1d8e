"""A run learns, goes on where it was killed as if it had not been, and stops before it breaks anything."""

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

from matcaps.model import CapsNet, tiny
from matcaps.training.__main__ import main
from matcaps.training.config import TrainConfig, changed
from matcaps.training.engine import checkpoint
from matcaps.training.engine.loop import NonFiniteError, train
from tests.support.options import TINY

SMALL = [*TINY, "--network.image-size=24", "--checkpoint-minutes=0"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def config(shapes: Path, run: Path, **values: Any) -> TrainConfig:
    return TrainConfig(
        data=str(shapes), network=tiny(), run_folder=run, batch_size=16, checkpoint_minutes=0.0, **values
    )


def records(run: Path) -> list[dict[str, Any]]:
    """The journal of a run, without the speeds, which no two runs share."""
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
    """Within 25 short epochs training and held-out images are told apart far better than by chance (1 in 3)."""
    path = train(config(shapes, tmp_path / "run", epochs=25, learning_rate=0.01, brightness=8.0, loss=loss))
    last = records(path.parent)[-1]
    assert last["training_accuracy"] > 0.6
    assert last["held_out_error"] < 0.45


@pytest.mark.parametrize(("architecture", "average_share"), [("capsules", 0.2), ("cnn", 0.0)])
def test_killed_run_resumes_bit_for_bit(shapes: Path, tmp_path: Path, architecture: str, average_share: float) -> None:
    """A run that SIGKILL ended in the middle of an epoch and one that nothing disturbed end with the same bits."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("--epochs=8", f"--architecture={architecture}", f"--average-share={average_share}")  # of 24 steps each
    start = [sys.executable, *command(shapes, killed, *options, batch=4)]
    with subprocess.Popen(start, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        bar = ""
        # A step is told of before it is saved: at the 32nd at the latest, the 31st is on the disk.
        while not any(int(step) > 31 for step in re.findall(r" (\d+)/192 ", bar)):
            character = process.stderr.read(1)
            assert character, f"the run ended by itself: {bar}"
            bar += character
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert 30 < checkpoint.load(killed / "last.pt")["progress"]["step"] < 192
    for run, resume in ((whole, ()), (killed, ("--resume",))):
        again = [sys.executable, *command(shapes, run, *options, *resume, batch=4)]
        subprocess.run(again, env=ENVIRONMENT, check=True, capture_output=True)
    ends = [checkpoint.load(run / "last.pt") for run in (whole, killed)]
    for kind in ("weights", "trained_weights"):
        for name, values in ends[0][kind].items():
            assert torch.equal(values, ends[1][kind][name]), f"{kind} {name}"
    first, trained = (next(iter(ends[0][kind].values())) for kind in ("weights", "trained_weights"))
    assert torch.equal(first, trained) == (average_share == 0.0)
    assert records(whole) == records(killed)


def test_two_processes_train_as_one(shapes: Path, tmp_path: Path) -> None:
    """Half a batch in each of two processes makes the steps that whole batches make in one."""
    # Without batch statistics and random draws, which each process has for itself, the gradients are the same sums.
    options = (
        "--epochs=1",
        "--network.no-batch-norm",
        "--brightness=0",
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


def test_non_finite_step_is_not_taken(shapes: Path, tmp_path: Path) -> None:
    """A loss that leaves the finite numbers stops the run, names the step, and leaves a good checkpoint."""
    wild = config(shapes, tmp_path / "run", epochs=50, learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=r"step \d+: loss .*last good state is"):
        train(wild)
    weights = checkpoint.load(tmp_path / "run" / "last.pt")["weights"]
    assert all(values.isfinite().all() for values in weights.values())


def test_a_run_is_not_overwritten(shapes: Path, tmp_path: Path) -> None:
    """A folder that holds a run is refused without --resume, and with it if an option has changed."""
    first = config(shapes, tmp_path / "run", epochs=1)
    train(first)
    with pytest.raises(FileExistsError, match="--resume"):
        train(first)
    with pytest.raises(ValueError, match=r"epochs was 1, now 2"):
        train(replace(first, epochs=2, resume=True))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        train(replace(first, run_folder=tmp_path / "none", resume=True))


def test_a_run_must_have_room_for_its_schedule(shapes: Path, tmp_path: Path) -> None:
    """So few steps that the rate could not rise are refused, with how many there are."""
    with pytest.raises(ValueError, match=r"a run of 6 steps is too short for its rate to rise over 0\.1 of them"):
        train(config(shapes, tmp_path / "run", epochs=1, warmup_share=0.1))


def test_data_must_fit_the_network(shapes: Path, tmp_path: Path) -> None:
    """Other classes, or fewer images than a batch, are refused before anything is written."""
    with pytest.raises(ValueError, match="classes"):
        train(TrainConfig(data=str(shapes), network=replace(tiny(), classes=("a", "b")), run_folder=tmp_path / "run"))
    with pytest.raises(ValueError, match="do not fill one batch of 500"):
        train(replace(config(shapes, tmp_path / "run"), batch_size=500))
    assert not (tmp_path / "run").exists()


def test_a_run_can_go_on_from_its_first_moment(shapes: Path, tmp_path: Path) -> None:
    """What breaks long before a checkpoint is due leaves the one that the run began with."""
    wild = config(shapes, tmp_path / "run", epochs=1, learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=re.escape(f"the last good state is {tmp_path / 'run' / 'last.pt'}")):
        train(replace(wild, checkpoint_minutes=60.0))
    saved = checkpoint.load(tmp_path / "run" / "last.pt")
    assert saved["progress"]["step"] == 0
    torch.manual_seed(wild.seed)
    for name, values in CapsNet(wild.network).state_dict().items():
        assert torch.equal(saved["weights"][name], values), name
    train(replace(wild, learning_rate=0.01))  # as the message says; there is nothing to lose yet


def test_a_run_knows_its_pictures(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked from any folder, and refuses where pictures came or went: what it held out cannot be told then."""
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    shutil.copytree(shapes, pictures)
    monkeypatch.chdir(tmp_path)
    first = config(Path("pictures"), run, epochs=1)
    train(first)
    train(replace(first, architecture="cnn", run_folder=tmp_path / "cnn"))
    saved = checkpoint.load(run / "last.pt")
    assert saved["config"]["data"] == str(pictures)
    assert not changed({**saved["config"], "data": "pictures"}, first)  # as runs of before have it
    monkeypatch.chdir("/")
    assert main(["evaluate", f"--run-folder={run}"]) == 0
    shutil.copy(pictures / "square" / "00.png", pictures / "circle" / "zz.png")
    for command in (["evaluate"], ["release", "--name=x", f"--models={tmp_path / 'models'}"]):
        assert main([*command, f"--run-folder={run}"]) == 1
        assert f"{pictures} holds other images than when {run} was trained" in capsys.readouterr().err
    train(replace(first, data=str(pictures), run_folder=tmp_path / "new"))
    assert main(["evaluate", "adversarial", f"--run-folder={tmp_path / 'new'}", f"--baseline={tmp_path / 'cnn'}"]) == 1
    assert f"than when {tmp_path / 'cnn'} was trained" in capsys.readouterr().err
    with pytest.raises(ValueError, match="holds other images than when the run of"):
        train(replace(first, data=str(pictures), resume=True))
    assert not (tmp_path / "models").exists()
