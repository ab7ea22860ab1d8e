"""A run trains on the images that its options name, and keeps what they ask for."""

from pathlib import Path

import pytest

from matcaps.training.baselines import ConvNet
from matcaps.training.cli import train
from matcaps.training.data.splits import split
from matcaps.training.engine import checkpoint
from tests.support.options import TINY
from tests.support.runs import config_of


def test_a_run_trains_on_its_elevations_only(runs: Path) -> None:
    """It trains on the named elevations of other instances, and holds out all elevations of its instance."""
    training, held_out = split(config_of(runs / "capsules"))
    assert set(training.info["elevation"].tolist()) == {0, 1, 2}
    assert 4 not in training.info["instance"].tolist()
    assert set(held_out.info["elevation"].tolist()) == set(range(9))
    assert set(held_out.info["instance"].tolist()) == {4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--elevations", "0", "9"], "smallnorb has no elevation 9; there are 0, 1, 2"),
        (["--held-out-instances", "5"], "no instance 5"),
    ],
)
def test_values_that_the_data_set_lacks_are_rejected(
    root: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are rejected before anything is written."""
    command = ["smallnorb-stereo-small", f"--root={root}", f"--run-folder={tmp_path / 'run'}", *TINY, *options]
    assert train.main(command) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_epoch_is_kept_on_request(runs: Path) -> None:
    """With --keep-epochs each epoch has a checkpoint, which rebuilds its network."""
    kept = sorted(path.name for path in (runs / "cnn").glob("epoch-*.pt"))
    assert kept == ["epoch-1.pt", "epoch-2.pt"]
    assert isinstance(checkpoint.rebuild(checkpoint.load(runs / "cnn" / "epoch-1.pt")), ConvNet)
    assert not list((runs / "capsules").glob("epoch-*.pt"))
