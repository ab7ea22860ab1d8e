"""A failed write is one line with the path; the old file stays and no other is left."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from matcaps.training.writing import WriteError, append, write_atomically, writing


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may exceed 1000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """The error names the path and the free space."""
    path = tmp_path / "last.pt"
    write_atomically(path, lambda file: file.write(b"old"))
    with pytest.raises(WriteError, match=r"cannot write .*/last\.pt: File too large; [0-9.]+ MB are free on its disk"):
        write_atomically(path, lambda file: file.write(bytes(5000)))
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"last.pt": b"old"}


@pytest.mark.usefixtures("small_files")
def test_an_entry_that_does_not_fit_leaves_no_half_line(tmp_path: Path) -> None:
    """The file keeps its complete lines."""
    path = tmp_path / "metrics.jsonl"
    append(path, "first\n")
    with pytest.raises(WriteError, match=r"metrics\.jsonl: File too large"):
        append(path, "x" * 5000)
    assert path.read_text() == "first\n"


def test_a_full_device_is_named() -> None:
    """/dev/full refuses each byte."""
    with pytest.raises(WriteError, match="cannot write /dev/full: No space left on device; "):
        append(Path("/dev/full"), "x")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """The error says where a folder was expected."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(WriteError, match=f"expected a folder at {tmp_path / 'runs'}, found a file"):
        write_atomically(tmp_path / "runs" / "x" / "last.pt", lambda file: file.write(b""))


def test_a_removed_folder_is_named(tmp_path: Path) -> None:
    """An entry is not written into a folder that is gone."""
    with pytest.raises(WriteError, match="is its folder gone"):
        append(tmp_path / "gone" / "metrics.jsonl", "x")


def test_the_outermost_path_is_named(tmp_path: Path) -> None:
    """A draft's name tells a user nothing."""
    outer, inner = writing(Path("model.onnx")), writing(tmp_path / ".draft")
    with pytest.raises(WriteError, match=r"cannot write model\.onnx: No space left"), outer, inner:
        raise OSError(28, os.strerror(28))
