"""A failed write is one line with the path; the old file stays and no other is left."""

import errno
import os
from pathlib import Path

import pytest

from matcaps.training.writing import WriteError, append, new_folder, write_atomically, writing
from tests.support.limits import file_limit


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """The error names the path and the free space."""
    path = tmp_path / "last.pt"
    write_atomically(path, lambda file: file.write(b"old"))
    words = r"cannot write .*/last\.pt: File too large; [0-9.]+ MB are free on its disk"
    with file_limit(1000), pytest.raises(WriteError, match=words):
        write_atomically(path, lambda file: file.write(bytes(5000)))
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"last.pt": b"old"}


def test_an_entry_that_does_not_fit_leaves_no_half_line(tmp_path: Path) -> None:
    """The file keeps its complete lines."""
    path = tmp_path / "metrics.jsonl"
    append(path, b"first\n")
    with file_limit(1000), pytest.raises(WriteError, match=r"metrics\.jsonl: File too large"):
        append(path, b"x" * 5000)
    assert path.read_text() == "first\n"


def test_a_full_device_is_named() -> None:
    """/dev/full refuses each byte."""
    with pytest.raises(WriteError, match="cannot write /dev/full: No space left on device; "):
        append(Path("/dev/full"), b"x")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """The error says where a folder was expected."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(WriteError, match=f"expected a folder at {tmp_path / 'runs'}, found a file"):
        write_atomically(tmp_path / "runs" / "x" / "last.pt", lambda file: file.write(b""))


def test_a_removed_folder_is_named(tmp_path: Path) -> None:
    """An entry is not written into a folder that is gone."""
    with pytest.raises(WriteError, match="is its folder gone"):
        append(tmp_path / "gone" / "metrics.jsonl", b"x")


def test_the_outermost_path_is_named(tmp_path: Path) -> None:
    """A draft's name tells a user nothing."""
    outer, inner = writing(Path("model.onnx")), writing(tmp_path / ".draft")
    with pytest.raises(WriteError, match=r"cannot write model\.onnx: No space left"), outer, inner:
        raise OSError(28, os.strerror(28))


def test_a_failed_write_leaves_no_new_folder(tmp_path: Path) -> None:
    """Folders that were there before stay, and so do those that somebody else wrote into."""
    (tmp_path / "old").mkdir()
    with file_limit(10), pytest.raises(WriteError):
        write_atomically(tmp_path / "old" / "new" / "newer" / "x", lambda file: file.write(bytes(50)))
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    with file_limit(10), pytest.raises(OSError, match="large"), new_folder(tmp_path / "new" / "newer"):
        (tmp_path / "new" / "other").write_bytes(bytes(50))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other"]


def test_a_folder_that_cannot_be_made_whole_leaves_no_part(tmp_path: Path) -> None:
    """A name that is too long fails after its parents were made."""
    with pytest.raises(WriteError, match=r"cannot write .*: File name too long$"):
        write_atomically(tmp_path / "new" / ("x" * 300) / "file", lambda file: file.write(b""))
    assert not list(tmp_path.iterdir())


def test_a_quota_is_named_without_the_free_space_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota can be met while the disk has space; it may show only when the file is synchronised."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("matcaps.training.writing.os.fsync", refuse)
    with pytest.raises(WriteError, match=r"cannot write .*/last\.pt: Disk quota exceeded$"):
        write_atomically(tmp_path / "run" / "last.pt", lambda file: file.write(b"new"))
    assert not list(tmp_path.iterdir())
