"""A run on a folder of pictures with a validation folder: what it says, holds out, records, and refuses."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from matcaps.cli import main
from tests.support.options import TINY

# The export of three routing iterations takes half a minute.
FIXED = [*TINY, "--network.image-size=24", "--network.routing.iterations=1", "--batch-size=16"]


@pytest.fixture(scope="module")
def folders(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the drawn shapes as ``pets``, without the first five of each class, which are ``unseen``."""
    folder = tmp_path_factory.mktemp("folders")
    shutil.copytree(shapes, folder / "pets")
    for path in sorted((folder / "pets").glob("*/0[0-4].png")):
        (folder / "unseen" / path.parent.name).mkdir(parents=True, exist_ok=True)
        path.rename(folder / "unseen" / path.parent.name / path.name)
    return folder


def options(folders: Path, run: Path, *more: str) -> list[str]:
    """The command that trains on the folders."""
    folders_of_run = (f"--data={folders / 'pets'}", f"--validation={folders / 'unseen'}", f"--run-folder={run}")
    return ["train", "folder", *folders_of_run, "--epochs=1", *FIXED, *more]


@pytest.fixture(scope="module")
def run(folders: Path) -> Path:
    """A finished run with the validation folder."""
    assert main(options(folders, folders / "run")) == 0
    return folders / "run"


def test_a_run_says_what_it_trains_on(folders: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When it starts or continues, a table has the images of each class for training and in the validation folder."""
    assert main(options(folders, run, "--resume")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "class     training  held out",
        "circle          35         5",
        "square          35         5",
        "triangle        35         5",
        "all            105        15",
    ]


def test_the_validation_folder_is_evaluated(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The suites take its images, all of them."""
    assert main(["evaluate", str(run)]) == 0
    found = capsys.readouterr().out
    assert "15 images" in found
    assert str(run.parent / "unseen") in found


def test_the_mistakes_of_a_run_are_a_page(
    folders: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the held-out pictures that are wrong, and pairs among all pictures; printed, too."""
    assert main(["evaluate", "mistakes", str(run), f"--to={tmp_path}"]) == 0
    found = json.loads((tmp_path / "mistakes.json").read_text())
    assert f"{found['wrong']} of 15 pictures are classified wrongly" in capsys.readouterr().out
    assert found["compared"] == 120
    for of in found["mistakes"]:
        assert Path(of["file"]).parent == folders / "unseen" / of["label"]
        assert of["predicted"] != of["label"]
        assert max(of["activations"], key=of["activations"].get) == of["predicted"]
    confident = [max(of["activations"].values()) for of in found["mistakes"]]
    assert confident == sorted(confident, reverse=True)
    assert (tmp_path / "mistakes.html").read_text().count("<img ") == len(confident) + 2 * len(found["pairs"])


def test_a_moved_validation_folder_is_named_anew_and_a_changed_one_refused(
    folders: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest decides, not its path: to resume, evaluate and release."""
    moved = Path(shutil.copytree(folders, tmp_path / "moved"))
    (moved / "unseen").rename(moved / "new")
    for command in (
        ["evaluate", str(moved / "run"), f"--data={moved / 'pets'}", f"--validation={moved / 'new'}"],
        options(moved, moved / "run", f"--validation={moved / 'new'}", "--resume"),
    ):
        assert main(command) == 0
    capsys.readouterr()
    picture = moved / "new" / "circle" / "00.png"
    Image.open(picture).rotate(90).point(lambda level: 255 - level).save(picture)
    assert main(options(moved, moved / "run", f"--validation={moved / 'new'}", "--resume")) == 1
    assert "holds other images than when the run in" in capsys.readouterr().err
    release = ["release", str(run), "--name=pets", f"--models={tmp_path / 'models'}"]
    assert main([*release, f"--validation={moved / 'new'}"]) == 1
    assert "holds other images than when" in capsys.readouterr().err


def test_validation_is_for_a_run_that_was_trained_with_it(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that drew its held-out images has no validation folder to move."""
    run = tmp_path / "run"
    assert main(["train", "folder", f"--data={shapes}", f"--run-folder={run}", "--epochs=1", *FIXED]) == 0
    assert main(["evaluate", str(run), "--validation=unseen"]) == 1
    assert "--validation is for a run that was trained with it" in capsys.readouterr().err
    assert main(["train", "folder", f"--data={shapes}", f"--run-folder={run}", "--validation=x", "--resume"]) == 1
    assert "x is neither a known data set" in capsys.readouterr().err
