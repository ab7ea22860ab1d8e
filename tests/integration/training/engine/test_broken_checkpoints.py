"""A checkpoint that lacks a part, or has a wrong one, is one line that names the file and the part."""

from pathlib import Path
from typing import Any

import pytest
import torch

from matcaps.cli import main
from matcaps.training.cli.folds import progress
from matcaps.training.engine import checkpoint
from matcaps.training.evaluation.runs import open_epochs
from tests.support.options import TINY, tiny_run

MISSING = object()


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two short epochs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(options(shapes, folder)) == 0
    return folder


def options(images: Path, folder: Path, *more: str) -> list[str]:
    """A run of two short epochs."""
    fixed = ["--batch-size=16", "--epochs=2", "--network.image-size=24", "--device=cpu", "--keep-epochs"]
    return ["train", "folder", f"--data={images}", f"--run-folder={folder}", *TINY, *fixed, *more]


def broken(run: Path, folder: Path, place: str, value: object) -> Path:
    """A copy of the run's checkpoint with another value at a place, such as ``progress/step``, or without it."""
    content: Any = checkpoint.load(run / "last.pt")
    *outer, last = place.split("/")
    inner = content
    for name in outer:
        inner = inner[name]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    folder.mkdir()
    torch.save(content, folder / "last.pt")
    return folder


def errors(capsys: pytest.CaptureFixture[str], *commands: list[str]) -> list[str]:
    """The only line of each command, which must fail."""
    lines = []
    for command in commands:
        capsys.readouterr()
        assert main(command) == 1, command
        (line,) = capsys.readouterr().err.splitlines()
        lines.append(line)
    return lines


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("progress", MISSING, "progress: Field required"),
        ("progress/step", MISSING, "progress.step: Field required"),
        ("progress/step", "many", "progress.step: Input should be a valid integer, got 'many'"),
        ("schedule", MISSING, "schedule: Field required"),
        ("schedule/total_steps", MISSING, "schedule.total_steps: Field required"),
        ("architecture", MISSING, "architecture: Field required"),
        ("architecture", "transformer", "architecture: Input should be 'capsules' or 'cnn', got 'transformer'"),
        ("weights", MISSING, "weights: Field required"),
        ("weights", 7, "weights: Input should be a valid dictionary, got 7"),
        ("network", MISSING, "network: Field required"),
        ("config", MISSING, "config: Field required"),
        ("images", MISSING, "images: Field required"),
        ("commit", 7, "commit: Input should be a valid string, got 7"),
        ("weights/beta", torch.zeros(2), "weights cannot be loaded into its network: "),
        ("weights/class_caps.beta_u", MISSING, "weights cannot be loaded into its network: "),
        ("weights/class_caps.beta_u", torch.zeros(99), "weights cannot be loaded into its network: "),
        ("weights/class_caps.beta_u", "text", "weights cannot be loaded into its network: "),
        ("config/optimisation/epochs", "many", "configuration is not one of this version: optimisation.epochs: "),
    ],
)
def test_every_command_names_file_and_part(
    run: Path,
    shapes: Path,
    tmp_path: Path,
    place: str,
    value: object,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Evaluation, release and --resume have the same line."""
    folder = broken(run, tmp_path / "broken", place, value)
    commands = [
        ["evaluate", str(folder)],
        ["release", str(folder), "--name=x", f"--models={tmp_path / 'models'}"],
        options(shapes, folder, "--resume"),
    ]
    for line in errors(capsys, *commands):
        assert line.startswith(f"matcaps: {folder / 'last.pt'}")
        assert words in line
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("trained_weights", MISSING),
        ("trained_weights", {"other": torch.zeros(1)}),
        ("optimizer", MISSING),
        ("optimizer", {"state": {}, "param_groups": []}),
    ],
)
def test_resuming_names_what_only_it_needs(
    run: Path, shapes: Path, tmp_path: Path, part: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a run can still be evaluated."""
    folder = broken(run, tmp_path / "broken", part, value)
    (line,) = errors(capsys, options(shapes, folder, "--resume"))
    assert line.startswith(
        f"matcaps: {folder / 'last.pt'}: the checkpoint's {part} cannot be loaded into its network: "
    )
    assert main(["evaluate", str(folder)]) == 0


def test_a_broken_run_is_not_replaced(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Starting a run in its folder names the fault, and leaves the checkpoint."""
    folder = broken(run, tmp_path / "broken", "progress", MISSING)
    before = (folder / "last.pt").read_bytes()
    (line,) = errors(capsys, options(shapes, folder))
    assert line == f"matcaps: {folder / 'last.pt'} is not the checkpoint of a run: progress: Field required"
    assert (folder / "last.pt").read_bytes() == before


@pytest.mark.parametrize("place", ["progress", "architecture", "weights/class_caps.beta_u"])
def test_a_broken_epoch_is_named(run: Path, tmp_path: Path, place: str) -> None:
    """Each file of a baseline is named by its own path."""
    folder = broken(run, tmp_path / "broken", place, MISSING)
    path = (folder / "last.pt").rename(folder / "epoch-2.pt")
    with pytest.raises(ValueError, match=rf"^{path}\b.*{place.partition('/')[0]}"):
        open_epochs(folder)


@pytest.mark.parametrize(("place", "value"), [("schedule", MISSING), ("config/optimisation/epochs", "many")])
def test_a_broken_fold_is_named(run: Path, tmp_path: Path, place: str, value: object) -> None:
    """The runs of a recipe are not continued beside it."""
    folder = broken(run, tmp_path / "broken", place, value)
    with pytest.raises(ValueError, match=rf"^{folder / 'last.pt'}\b.*{place.rpartition('/')[2]}"):
        progress(tiny_run("shapes", folder))
