"""The C++ library: compiled once, cached, and replaced by plain PyTorch where it cannot be compiled."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matcaps.model.kernels import cpu
from matcaps.model.kernels.cpu.library import CompilationError, library

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


def test_the_error_quotes_a_compiler_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error has the compiler's last lines, and the cache keeps no partial file."""
    assert cpu.available()  # before the compiler fails
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "--no-such-option")
    with pytest.raises(CompilationError, match="no-such-option"):
        library.__wrapped__()
    assert list((tmp_path / "matcaps").iterdir()) == []
    with caplog.at_level(logging.WARNING):
        assert cpu.available()  # this process has loaded the library before
    assert caplog.text == ""


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
