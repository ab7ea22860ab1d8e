"""Reads files that may be compressed, and checks files that may be damaged."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in ``.gz``.

    Raises:
        ValueError: The file is truncated, or not compressed although its name ends in ``.gz``.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}") from error


def find_all(folder: Path, wanted: list[list[str]]) -> list[Path]:
    """Find one file for each list of possible names, compressed or not.

    Raises:
        FileNotFoundError: Files are missing; the message names the folder and the files.
    """
    found = [_find(folder, names) for names in wanted]
    missing = [names[0] for names, path in zip(wanted, found, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} (plain or .gz)")
    return [path for path in found if path is not None]


def _find(folder: Path, names: list[str]) -> Path | None:
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def expect_size(path: Path, found: int, expected: int, what: str) -> None:
    """Check that a file is as long as its header says.

    Raises:
        ValueError: It is not; the message names the file and both numbers of bytes.
    """
    if found != expected:
        fault = "is truncated" if found < expected else "is too long"
        raise ValueError(f"{path} {fault}: {what} take {expected} bytes, found {found}")


def expect_range(path: Path, what: str, values: NDArray[np.integer], highest: int) -> None:
    """Check that all values of a column lie between 0 and ``highest``.

    Raises:
        ValueError: They do not; the message names the file and the values.
    """
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > highest:
        raise ValueError(f"{path}: {what} must lie in 0–{highest}, found {low}–{high}")
