"""A full disk ends a run with one line; a moved folder of images is named anew."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from matcaps.cli import main
from matcaps.training.engine import checkpoint
from tests.support.options import TINY
from tests.support.runs import write_checkpoint

# As root of its own namespace: mounts a small disk, fills it but for some bytes, and runs a command on it.
ON_SMALL_DISK = """
mount -t tmpfs -o size={size}k small "$1" || exit 99
{before}
shift
"$@"
status=$?
ls -A "{disk}/run" >&2
cp -r "{disk}/run" "{saved}"
exit $status
"""


def options(images: Path, run: Path, *more: str) -> list[str]:
    """A run of three short epochs."""
    fixed = ["--batch-size=16", "--epochs=3", "--network.image-size=24", "--device=cpu"]
    return ["train", "folder", f"--data={images}", f"--run-folder={run}", *TINY, *fixed, *more]


def test_a_full_disk_ends_a_run_in_one_line_and_it_resumes(shapes: Path, tmp_path: Path) -> None:
    """The last checkpoint is whole, no draft is left, and after space is made the run ends with the same bits."""
    whole, disk, saved = tmp_path / "whole", tmp_path / "disk", tmp_path / "saved"
    assert main(options(shapes, whole)) == 0
    size = (whole / "last.pt").stat().st_size
    kilobytes = 2 * size // 1024 + 64  # room for a checkpoint, its successor and the logs, not for a kept epoch
    disk.mkdir()
    script = ON_SMALL_DISK.format(size=kilobytes, before="", disk=disk, saved=saved)
    command = [sys.executable, "-m", "matcaps", *options(shapes, disk / "run", "--keep-epochs")]
    mounted = ["unshare", "-rm", "bash", "-c", script, "bash", str(disk), *command]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    ended = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if ended.returncode == 99 or "unshare" in ended.stderr:
        pytest.skip(f"no small disk can be mounted here: {ended.stderr}")
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert f"matcaps: cannot write {disk}/run/" in ended.stderr
    assert "No space left on device; " in ended.stderr
    assert "MB are free" in ended.stderr
    assert not [path.name for path in saved.iterdir() if path.name.startswith(".")]
    assert checkpoint.load(saved / "last.pt")["progress"]["step"] < 18
    assert main(options(shapes, saved, "--keep-epochs", "--resume")) == 0
    ends = [checkpoint.load(run / "last.pt")["weights"] for run in (whole, saved)]
    assert all(torch.equal(values, ends[1][name]) for name, values in ends[0].items())


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
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the file and the field."""
    run = tmp_path / "run"
    assert main(options(shapes, run)) == 0
    saved = checkpoint.load(run / "last.pt")
    saved["config"]["optimisation"]["epochs"] = "many"
    write_checkpoint(run / "last.pt", saved)
    capsys.readouterr()
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
