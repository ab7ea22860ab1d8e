"""The C++ library: compiled once, cached, and replaced by plain PyTorch where it cannot be compiled."""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from matcaps.kernels import __main__ as compile_all
from matcaps.kernels import library as kernels_library
from matcaps.kernels.library import CompilationError, library
from matcaps.model.kernels import cpu
from tests.support.limits import file_limit, on_disk, without_rights

WITHOUT_COMPILER = """
import logging, torch
logging.basicConfig(format="%(message)s")
from matcaps.model import CapsNet, tiny
torch.manual_seed(0)
network = CapsNet(tiny()).eval()
for _ in range(2):
    print(network(torch.zeros(2, 1, 24, 24)).logits.isfinite().all().item())
"""


def test_without_a_compiler_plain_pytorch_routes_and_one_line_is_logged(tmp_path: Path) -> None:
    """A network works without a C++ compiler; the log says once why it is slow."""
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, check=True, capture_output=True, text=True
    )
    assert ended.stdout.split() == ["True", "True"]
    assert ended.stderr.count("falls back to plain PyTorch") == 1
    assert "no C++ compiler 'no-such-compiler' is installed" in ended.stderr


def warning_of(
    variables: dict[str, str], prefix: str = "", without: Sequence[str] = (), disk: tuple[Path, str] | None = None
) -> str:
    """The only line that a network logs, which must be a warning before plain PyTorch routes."""
    words = (f"{name}={value}" for name, value in {"CXXFLAGS": "-O0", **variables}.items())
    command = ["env", *without, *words, sys.executable, "-c", prefix + WITHOUT_COMPILER]
    ended = without_rights(command) if disk is None else on_disk(*disk, command)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["True", "True"]
    (line,) = ended.stderr.splitlines()
    assert line.startswith("EM routing falls back to plain PyTorch, many times slower on a CPU: "), line
    return line.partition("CPU: ")[2]


def test_a_compiler_that_fails_is_quoted_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The line says where the compiler's output is; the cache keeps nothing else."""
    assert cpu.available()  # before the compiler fails
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "--no-such-option --nor-this")
    with pytest.raises(CompilationError, match=r" failed with status 1: .*no-such-option.*; its output is ") as error:
        library.__wrapped__()
    assert "\n" not in str(error.value)
    (output,) = (tmp_path / "matcaps").iterdir()
    assert str(error.value).endswith(f"; its output is in {output}")
    assert "nor-this" in output.read_text()
    with caplog.at_level(logging.WARNING):
        assert cpu.available()  # this process has loaded the library before
    assert caplog.text == ""


def test_the_output_of_a_failed_compilation_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command fails on a disk without space, and works afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "-O0")
    with file_limit(20_000), pytest.raises(CompilationError, match=r"its output is in .*\.log$"):
        library.__wrapped__(128)
    assert [file.suffix for file in (tmp_path / "matcaps").iterdir()] == [".log"]
    library.__wrapped__(128)
    assert [file.suffix for file in (tmp_path / "matcaps").iterdir()] == [".so"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The line has the folder and the reason: no permission, a read-only disk, a file in place of the folder."""
    closed, disk, file = tmp_path / "closed", tmp_path / "disk", tmp_path / "file"
    closed.mkdir(mode=0o555)
    disk.mkdir()
    file.touch()
    for folder, reason, mounted in (
        (closed, "Permission denied", None),
        (disk, "Read-only file system", (disk, "ro")),
        (file, "Not a directory", None),
    ):
        expected = f"cannot write into {folder / 'matcaps'}: {reason}; XDG_CACHE_HOME names another place for it"
        assert warning_of({"XDG_CACHE_HOME": str(folder)}, disk=mounted) == expected


def test_a_cache_on_a_full_disk_is_named(tmp_path: Path) -> None:
    """The line has the compiler's reason, and a file in the folder."""
    line = warning_of({"XDG_CACHE_HOME": str(tmp_path)}, disk=(tmp_path, "size=16k"))
    assert "No space left on device" in line
    assert str(tmp_path / "matcaps") in line


def test_a_missing_home_is_named() -> None:
    """Without HOME, a user that the system does not know has none."""
    nobody = "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
    line = warning_of({"XDG_CACHE_HOME": ""}, nobody, without=["--unset=HOME"])
    assert line == "there is no home folder to keep the kernels in; XDG_CACHE_HOME names another place for them"


def test_the_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call finds the library in the cache; other flags make another library."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "-O0")
    library.__wrapped__(128)
    (first,) = (tmp_path / "matcaps").iterdir()
    made = first.stat().st_mtime_ns
    library.__wrapped__(128)
    assert [file.stat().st_mtime_ns for file in (tmp_path / "matcaps").iterdir()] == [made]
    monkeypatch.setenv("CXXFLAGS", "-O0 -g")
    library.__wrapped__(128)
    assert len(list((tmp_path / "matcaps").iterdir())) == 2


def test_a_library_that_was_compiled_before_needs_no_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m matcaps.kernels`` writes it, as the build of an image does."""
    monkeypatch.setenv("CXXFLAGS", "-O0")
    for module in (kernels_library, compile_all):
        monkeypatch.setattr(module, "COMPILED", tmp_path / "compiled")
    monkeypatch.setattr(compile_all, "WIDTHS", {128: ()})
    compile_all.main()
    file = tmp_path / "compiled" / "routing-128.so"
    assert capsys.readouterr().out == f"wrote {file}\n"
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert library.__wrapped__(128)._name == str(file)
    with pytest.raises(CompilationError, match="no-such-compiler"):
        library.__wrapped__(256)
