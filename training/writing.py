"""Writes files: whole or not at all, and a failure is one line that names the path and the free space."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FULL = {errno.ENOSPC, errno.EFBIG}  # not EDQUOT: a disk's free space says nothing about a quota


class WriteError(OSError):
    """A file or folder cannot be written."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the path, the reason and the free space if the body cannot write; the outermost path counts.

    Raises:
        WriteError: The body raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(error.errno, f"cannot write {path}: {_reason(error, path)}") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are new and empty are removed again if the body raises."""
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):  # another process may have written into it
                path.rmdir()
        raise


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that appears under its name only when it is complete and on the disk.

    Raises:
        WriteError: It cannot be written; the old file is unchanged, and no other file or new folder is left.
    """
    with writing(path), new_folder(path.parent):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def append(path: Path, content: bytes) -> None:
    """Add bytes to the end of a file in an existing folder.

    Raises:
        WriteError: It cannot be written; the file is as it was.
    """
    with writing(path), path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with suppress(OSError):  # a device has no size
                os.ftruncate(file.fileno(), size)
            raise


def _reason(error: OSError, path: Path) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    # Functions of os.path, because those of Path raise where a folder may not be entered.
    existing = next((folder for folder in path.absolute().parents if os.path.exists(folder)), Path("/"))
    if not os.path.isdir(existing):
        return f"expected a folder at {existing}, found a file"
    if error.errno == errno.ENOENT:
        return f"{reason}; is its folder gone?"
    if error.errno in FULL:
        return f"{reason}; {shutil.disk_usage(existing).free / 1e6:.1f} MB are free on its disk"
    return reason
