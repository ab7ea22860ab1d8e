"""A small smallNORB of random images, runs trained on it, and an artefact of one of them: once for all workers."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from matcaps.training.cli import release
from tests.support.runs import train
from tests.support.sharing import made_once
from tests.support.writers import TEST, matrix, originals, prepared, write


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with both splits of smallNORB: 300 pairs to train on, 20 to test."""

    def make(root: Path) -> None:
        (root / "smallnorb").mkdir()
        np.savez(root / "smallnorb" / "train_48.npz", **prepared(300))  # type: ignore[arg-type]
        for part, values in originals(20, seed=1).items():
            write(root / "smallnorb" / f"{TEST}-{part}.mat", matrix(values))

    return made_once(tmp_path_factory, "data", make)


@pytest.fixture(scope="session")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Capsules and a CNN, trained on the three lowest elevations of all instances but 4, for two epochs.

    Each worker has a copy, since evaluation writes its report into the run's folder.
    """

    def make(folder: Path) -> None:
        options = ("--elevations", "0", "1", "2", "--epochs=2")
        train("smallnorb", folder / "capsules", *options, root=root)
        train("smallnorb", folder / "cnn", *options, "--architecture=cnn", "--keep-epochs", root=root)

    trained = made_once(tmp_path_factory, "runs", make)
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "runs"))


@pytest.fixture(scope="session")
def version(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact of the capsules of ``runs``: the folder of a version."""

    def make(models: Path) -> None:
        assert release.main([str(runs / "capsules"), "--name=low", f"--models={models}"]) == 0

    return made_once(tmp_path_factory, "released", make) / "low" / "1"
