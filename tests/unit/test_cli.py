"""The command matcaps: its help, its subcommands, and what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matcaps import __version__
from matcaps.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """matcaps --help lists each subcommand on its own line and ends with status 0."""
    assert main(["--help"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert words == list(COMMANDS)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """matcaps --version prints the version of the package."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"matcaps {__version__}\n"


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command ends with status 2 and one line that lists the commands."""
    assert main(["paint"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"matcaps: unknown command 'paint'; the commands are {', '.join(COMMANDS)}\n"


def test_no_command_is_an_error_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    """matcaps without a command prints the help and ends with status 2."""
    assert main([]) == 2
    assert "usage: matcaps COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """matcaps COMMAND --help prints the usage of that command and ends with status 0."""
    try:
        status = main([command, "--help"])
    except SystemExit as exit_:  # argparse ends the process itself
        status = int(exit_.code or 0)
    captured = capsys.readouterr()
    assert status == 0
    assert f"usage: matcaps {command}" in captured.out + captured.err


def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a command's package is not installed, one line says what to install."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr("matcaps.cli.import_module", missing)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "matcaps serve needs the package onnxruntime: pip install 'matcaps[cpu]'\n"


def test_help_leaves_out_the_commands_whose_code_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without matcaps.training, as in the image, the help lists the other commands, and training is one line."""
    monkeypatch.setattr("matcaps.cli.find_spec", lambda part: None if part == "matcaps.training" else object())
    assert main(["--help"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert words == ["serve", "predict", "keys"]
    assert main(["train", "mnist"]) == 1
    assert capsys.readouterr().err == "matcaps train is not in this installation, which lacks matcaps.training\n"


def test_serving_imports_no_torch(tmp_path: Path) -> None:
    """matcaps serve --help imports neither torch nor onnx, and neither matcaps.model nor matcaps.training."""
    program = (
        "import sys\n"
        "from matcaps.cli import main\n"
        "try:\n"
        "    main(['serve', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "loaded = {'torch', 'onnx', 'matcaps.model', 'matcaps.training'} & set(sys.modules)\n"
        "print('loaded:', sorted(loaded), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "--host" in done.stdout
    assert done.stderr == "loaded: []\n"


def test_a_checkout_runs_without_installing() -> None:
    """python -m matcaps works in the root of a checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "matcaps", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: matcaps COMMAND")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"]])
def test_a_closed_pipe_is_not_an_error(words: list[str], unbuffered: str) -> None:
    """If the reader of the help closes its pipe, the command ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "matcaps", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["keys", "me"], ["evaluate", "--help"]])
def test_a_full_disk_behind_standard_output_is_one_line(words: list[str], unbuffered: str) -> None:
    """The command ends with status 1, with or without buffering."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "matcaps", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    expected = "matcaps: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1:]) == (1, [expected])
    assert "Traceback" not in done.stderr
