"""A folder of images becomes a run, an evaluation and an artefact."""

from pathlib import Path

import pytest

from matcaps.cli import main
from tests.support.options import TINY
from tests.support.runs import metadata_of


def test_images_in_folders_become_an_artefact(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The classes of the artefact are the folders' names, and each command names the next."""
    run, models = tmp_path / "run", tmp_path / "models"
    options = [f"--data={shapes}", f"--run-folder={run}", "--epochs=1", "--batch-size=16", *TINY]
    options.append("--network.routing.iterations=1")  # the export of three takes half a minute
    options.append("--network.routing.competition=positions")
    assert main(["train", "folder", *options, "--network.image-size=24"]) == 0
    assert f"next: matcaps evaluate {run}\n" in capsys.readouterr().out
    assert main(["evaluate", str(run)]) == 0
    assert "24 images" in capsys.readouterr().out
    assert (run / "standard.png").exists()
    release = ["release", str(run), "--name", "shapes", "--models", str(models)]
    assert main(release) == 0
    metadata = metadata_of(models / "shapes" / "1")
    assert metadata["classes"] == ["circle", "square", "triangle"]
    assert metadata["training"]["routing"]["competition"] == "positions"
    assert main([*release, "--version", "1"]) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_release_checks_the_version_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing version is rejected before the run is opened."""
    (tmp_path / "shapes" / "1").mkdir(parents=True)
    assert main(["release", "none", "--name=shapes", f"--models={tmp_path}", "--version=1"]) == 1
    assert "exists already; versions are never overwritten" in capsys.readouterr().err
