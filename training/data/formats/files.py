"""Reading files that may be compressed and may be damaged."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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


def find_all(folder: Path, wanted: list[list[str]]) -> list[Path]:
    """One file for each list of names that it may have, compressed or not.

    Raises:
        FileNotFoundError: It names the folder and all that was looked for in vain.
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
    """Refuse a file whose content is shorter or longer than its header says.

    Raises:
        ValueError: It names the file and both numbers of bytes.
    """
    if found != expected:
        fault = "is cut short" if found < expected else "has more than it should"
        raise ValueError(f"{path} {fault}: {what} take {expected} bytes, found {found}")


def expect_range(path: Path, what: str, values: NDArray[np.integer], highest: int) -> None:
    """Refuse a column with a value below 0 or above ``highest``.

    Raises:
        ValueError: It names the file and the values found.
    """
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > highest:
        raise ValueError(f"{path}: {what} must lie in 0–{highest}, found {low}–{high}")
