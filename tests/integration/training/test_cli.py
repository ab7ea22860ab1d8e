"""The command line explains itself, says in one line what is wrong, and does the whole way."""

from pathlib import Path

import onnx
import pytest

from matcaps.training.__main__ import main
from tests.support.options import TINY

SMALL = [*TINY, "--network.image-size=24"]


@pytest.mark.parametrize("command", ["", "download", "train", "evaluate", "release", "judge", "train smallnorb"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has a help text, which is no error."""
    assert main([*command.split(), "--help"]) == 0
    assert "usage: matcaps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "Missing subcommand"),
        ("paint", "paint"),
        ("train", "Missing subcommand"),
        ("train mnist --epochs many", "--epochs"),
        ("train mnist --epochs 0", "epochs must be at least 1, found 0"),
        ("train mnist --average-share 1", "average_share must lie in [0, 1), found 1.0"),
        ("train mnist --label-smoothing 1", "label_smoothing must lie in [0, 1), found 1.0"),
        ("train mnist --mixup -1", "mixup must not be negative, found -1.0"),
        ("train mnist --warp 0.7", "or shapes would fold, found 0.7"),
        ("train mnist --network.routing.iterations 0", "at least 1 iteration"),
        ("train mnist --colour red", "--colour"),
        ("download imagenet", "imagenet"),
        ("release --run-folder x", "--name"),
    ],
)
def test_bad_options(arguments: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad option ends with status 2 and one line that names it."""
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert words in captured.err


def test_missing_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Work that cannot be done ends with status 1 and one line."""
    assert main(["evaluate", "--run-folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("last.pt\n")


def test_the_whole_way(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures in folders become a run, a judgement and an artefact with the folders' names as classes."""
    run, models = tmp_path / "run", tmp_path / "models"
    options = [f"--data={shapes}", f"--run-folder={run}", "--epochs=1", "--batch-size=16", *SMALL]
    assert main(["train", "folder", *options]) == 0
    assert main(["evaluate", "--run-folder", str(run)]) == 0
    assert "24 images" in capsys.readouterr().out
    assert (run / "standard.png").exists()
    assert main(["release", "--run-folder", str(run), "--name", "shapes", "--models", str(models)]) == 0
    proto = onnx.load(models / "shapes" / "1" / "model.onnx")
    found = {entry.key: entry.value for entry in proto.metadata_props}
    assert found["matcaps.classes"] == '["circle", "square", "triangle"]'
    again = ["release", "--run-folder", "none", "--name", "shapes", "--models", str(models), "--version", "1"]
    assert main(again) == 1  # before anything is opened or judged
    assert "never overwritten" in capsys.readouterr().err
