"""Reading files that may be compressed and may be damaged."""

import gzip
import zlib
from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in ``.gz``.

    Raises:
        ValueError: The file is not whole, or is not compressed although its name says so.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error


def find(folder: Path, names: list[str]) -> Path | None:
    """The first of ``names`` that stands in the folder, compressed or not."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def expect_size(path: Path, found: int, expected: int, what: str) -> None:
    """Refuse a file whose content is shorter or longer than its header says.

    Raises:
        ValueError: It names the file and both numbers of bytes.
    """
    if found != expected:
        fault = "is cut short" if found < expected else "has more than it should"
        raise ValueError(f"{path} {fault}: {what} take {expected} bytes, found {found}")
