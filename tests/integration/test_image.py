"""The files that the container image gets, laid out as its Dockerfile says and run without an engine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPY = re.compile(r"^COPY (?:--from=kernels )?(\S+) (\S+)$", re.MULTILINE)
IN_IMAGE = ["serve", "predict", "keys"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's folder /app."""
    folder = tmp_path_factory.mktemp("app")
    stage = (ROOT / "Dockerfile").read_text().partition(" AS service\n")[2].partition("\nENV ")[0]
    for source, target in COPY.findall(stage):
        path = source.removeprefix("/build/matcaps/")  # the kernels come from a stage that has compiled them
        for found in ROOT.glob(path):
            if found.is_dir():
                shutil.copytree(found, folder / target, ignore=shutil.ignore_patterns("__pycache__", "compiled"))
            else:
                (folder / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(found, folder / target)
    return folder


def run(app: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command ``matcaps`` of the image; without ``site`` (-S), which adds a checkout that is installed."""
    packages = [path for path in sys.path if path.endswith("-packages")]
    return subprocess.run(
        [sys.executable, "-S", "-m", "matcaps", *words],
        cwd=app,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(app), *packages])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_build_gets_every_file_that_it_copies() -> None:
    """Each folder or file that the Dockerfile copies from the checkout is let through by .dockerignore."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {source for source in copied if source not in allowed | {"matcaps/__init__.py"}} == set()


def test_the_help_in_the_image_promises_only_what_is_there(app: Path) -> None:
    """matcaps --help in the image lists the commands that the image holds, and no training."""
    lines = run(app, "--help").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == IN_IMAGE


@pytest.mark.parametrize("command", IN_IMAGE)
def test_each_command_of_the_image_runs(app: Path, command: str) -> None:
    """The commands that the help in the image lists find their modules."""
    done = run(app, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: matcaps {command}" in done.stdout + done.stderr


def test_the_image_predicts_in_its_own_process(app: Path) -> None:
    """matcaps predict in the image answers for a file by a model of the image."""
    done = run(app, "predict", str(ROOT / "examples" / "airplane.png"))
    assert done.returncode == 0, done.stderr
    assert "airplane  0.718" in done.stdout


def test_a_command_that_the_image_lacks_is_one_line(app: Path) -> None:
    """A command of training ends with status 1 and one line that says what is missing."""
    done = run(app, "train")
    assert done.returncode == 1
    assert done.stderr == "matcaps train is not in this installation, which lacks matcaps.training\n"
