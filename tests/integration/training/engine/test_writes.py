"""A write that fails ends a command with one line; a moved folder of images is named anew."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from matcaps.cli import main
from matcaps.training.engine import checkpoint
from matcaps.training.engine.logger import RunLogger
from tests.support.limits import file_limit, matcaps, on_disk, statuses, without_rights
from tests.support.options import TINY
from tests.support.runs import write_checkpoint


def options(images: Path, run: Path, *more: str) -> list[str]:
    """A run of three short epochs, and of one routing iteration, whose export takes a third of the time."""
    fixed = ["--batch-size=16", "--epochs=3", "--network.image-size=24", "--network.routing.iterations=1"]
    return ["train", "folder", f"--data={images}", f"--run-folder={run}", *TINY, *fixed, "--device=cpu", *more]


@pytest.fixture(scope="module")
def finished(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the shapes; no test writes into its folder."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert main(options(shapes, run)) == 0
    return run


def test_a_full_disk_ends_a_run_in_one_line_and_it_resumes(shapes: Path, finished: Path, tmp_path: Path) -> None:
    """The last checkpoint is whole, no draft is left, and after space is made the run ends with the same bits."""
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    size = (finished / "last.pt").stat().st_size
    kilobytes = 2 * size // 1024 + 64  # room for a checkpoint, its successor and the logs, not for a kept epoch
    disk.mkdir()
    command = [sys.executable, "-m", "matcaps", *options(shapes, disk / "run", "--keep-epochs")]
    ended = on_disk(disk, f"size={kilobytes}k", command, after=f'cp -r "{disk}/run" "{saved}"')
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert f"matcaps: cannot write {disk}/run/" in ended.stderr
    assert "No space left on device; " in ended.stderr
    assert "MB are free" in ended.stderr
    assert not [path.name for path in saved.iterdir() if path.name.startswith(".")]
    assert checkpoint.load(saved / "last.pt")["progress"]["step"] < 18
    assert main(options(shapes, saved, "--keep-epochs", "--resume")) == 0
    ends = [checkpoint.load(run / "last.pt")["weights"] for run in (finished, saved)]
    assert all(torch.equal(values, ends[1][name]) for name, values in ends[0].items())


def names(folder: Path) -> list[str]:
    """All files and folders in a folder, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_report_that_does_not_fit_leaves_no_draft(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the JSON or the plot; an older file stays whole."""
    for limit, name in ((100, "standard.json"), (8_000, "standard.png")):
        with file_limit(limit):
            assert main(["evaluate", str(finished), f"--to={tmp_path / 'new'}"]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"matcaps: cannot write {tmp_path / 'new' / name}: File too large; ")
        assert names(tmp_path) == ([] if limit == 100 else ["new", "new/standard.json"])
    assert main(["evaluate", str(finished), f"--to={tmp_path / 'new'}"]) == 0
    old = [(tmp_path / "new" / name).read_bytes() for name in ("standard.json", "standard.png")]
    with file_limit(100):
        assert main(["evaluate", str(finished), f"--to={tmp_path / 'new'}"]) == 1
    assert [(tmp_path / "new" / name).read_bytes() for name in ("standard.json", "standard.png")] == old
    assert names(tmp_path) == ["new", "new/standard.json", "new/standard.png"]


def test_a_release_that_does_not_fit_leaves_nothing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a draft nor a new folder is left; folders that were there stay."""
    release = ["release", str(finished), "--name=shapes", "--max-calibration-error=1"]
    (tmp_path / "old").mkdir()
    for models in ("new/models", "old"):
        with file_limit(10_000):
            assert main([*release, f"--models={tmp_path / models}"]) == 1
        path = tmp_path / models / "shapes" / "1" / "model.onnx"
        assert f"matcaps: cannot write {path}: File too large; " in capsys.readouterr().err
        assert names(tmp_path) == ["old"]


def test_a_run_whose_folder_is_removed_ends(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error asks for the folder, and the folder is not made anew without its log."""
    run = tmp_path / "run"
    taken: list[int] = []

    def remove(logger: RunLogger, *values: object, steps: int) -> None:
        """Remove the folder after the fourth step."""
        taken.append(steps)
        if len(taken) == 4:
            shutil.rmtree(run)

    monkeypatch.setattr(RunLogger, "step", remove)
    for minutes, name in (("5", "metrics.jsonl"), ("0", "last.pt")):
        taken.clear()
        assert main(options(shapes, run, f"--checkpoint-minutes={minutes}")) == 1
        expected = f"matcaps: cannot write {run / name}: No such file or directory; is its folder gone?"
        assert capsys.readouterr().err.splitlines()[-1] == expected
        assert not run.exists()


def test_a_disk_that_is_read_only_is_named(shapes: Path, finished: Path, tmp_path: Path) -> None:
    """Training, evaluation, release and download end with status 1 and one line each."""
    where = tmp_path / "disk"
    where.mkdir()
    commands = writes_into(where, shapes, finished)
    ended = on_disk(where, "ro", matcaps(*commands.values()))
    assert statuses(ended) == [1] * 4, ended.stderr
    for name in commands:
        assert f"\nmatcaps: cannot write {name}: Read-only file system\n" in f"\n{ended.stderr}"
    assert "Traceback" not in ended.stderr


def test_a_folder_without_permission_is_named(shapes: Path, finished: Path, tmp_path: Path) -> None:
    """It makes no difference whether the folder may be read, and nothing is left in it."""
    for mode in (0o555, 0o000):
        where = tmp_path / oct(mode)
        where.mkdir()
        commands = writes_into(where, shapes, finished)
        where.chmod(mode)
        ended = without_rights(matcaps(*commands.values()))
        where.chmod(0o755)
        assert statuses(ended) == [1] * 4, ended.stderr
        errors = [line for line in ended.stderr.splitlines() if line.startswith("matcaps: ")]
        assert len(errors) == 4
        assert all("ermission denied" in line and str(where) in line for line in errors), errors
        assert "Traceback" not in ended.stderr
        assert names(where) == []


def writes_into(folder: Path, images: Path, run: Path) -> dict[Path, list[str]]:
    """Commands that write into a folder, by the path that each must name."""
    release = ["release", str(run), "--name=x", "--max-calibration-error=1", f"--models={folder / 'models'}"]
    return {
        folder / "run" / "last.pt": options(images, folder / "run"),
        folder / "standard.json": ["evaluate", str(run), f"--to={folder}"],
        folder / "models" / "x" / "1" / "model.onnx": release,
        folder / "mnist" / "train-images-idx3-ubyte.gz": ["download", "mnist", f"--to={folder}"],
    }


def test_a_moved_folder_of_images_is_named_anew(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluate, release and resume take the new place if its digest is right; the run's folder may move too."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shapes, "old")
    first = tmp_path / "first"
    assert main(options(Path("old"), first)) == 0
    Path("old").rename("new")
    run = first.rename(tmp_path / "moved")
    release = ["release", str(run), "--name=x", "--models=models"]
    for command in (["evaluate", str(run)], release, options(Path("old"), run, "--resume")):
        assert main(command) == 1
        assert "name the new place with --data" in capsys.readouterr().err
    for suite in ("viewpoint", "poses"):  # which have no --data
        assert main(["evaluate", suite, str(run)]) == 1
        expected = f"matcaps: the suite {suite} needs smallNORB, but {run} was trained on {tmp_path / 'old'}\n"
        assert capsys.readouterr().err == expected
    assert main(["evaluate", "calibration", str(run), "--data=new", "--other=nowhere"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("matcaps: nowhere is neither a known data set")
    assert "--data" not in error
    Path("link").symlink_to("new")
    for command in (
        ["evaluate", str(run), "--data=new"],
        ["evaluate", "routing", str(run), "--data=link", "--images=8"],
        [*release, "--data=new"],
        options(Path("new"), run, "--resume"),
    ):
        assert main(command) == 0, capsys.readouterr().err
    (tmp_path / "new" / "circle").rename(tmp_path / "new" / "ball")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data=new"]) == 1
    assert "'ball'" in capsys.readouterr().err
    (tmp_path / "new" / "ball").rename(tmp_path / "new" / "circle")
    next((tmp_path / "new" / "circle").iterdir()).unlink()
    for command in (["evaluate", str(run), "--data=new"], options(Path("new"), run, "--resume")):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert f"expected digest {checkpoint.load(run / 'last.pt')['images'][:16]}, found " in error


def test_a_checkpoint_of_another_configuration_is_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the file and the field."""
    run = tmp_path / "run"
    saved = checkpoint.load(finished / "last.pt")
    saved["config"]["optimisation"]["epochs"] = "many"
    write_checkpoint(run / "last.pt", saved)
    assert main(["evaluate", str(run)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "last.pt: " in error
    assert "optimisation.epochs: " in error


def test_a_tilde_is_the_home_folder(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--run-folder=~/x`` is below the home folder; ``./~`` is a folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(options(shapes, Path("~/x"))) == 0
    assert main(["evaluate", "~/x", "--to=./~"]) == 0
    assert (tmp_path / "home" / "x" / "last.pt").is_file()
    assert (tmp_path / "~" / "standard.json").is_file()
