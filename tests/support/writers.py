"""Writes small data sets in the formats that the project reads, straight from their definitions."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN = "smallnorb-5x46789x9x18x6x2x96x96-training"
TEST = "smallnorb-5x01235x9x18x6x2x96x96-testing"


def write(path: Path, content: bytes) -> None:
    """Write a file, compressed if its name ends in ``.gz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def idx(values: NDArray[np.uint8]) -> bytes:
    """An idx file of unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim])
    return header + b"".join(size.to_bytes(4, "big") for size in values.shape) + values.tobytes()


def matrix(values: NDArray[np.uint8] | NDArray[np.int32]) -> bytes:
    """A binary matrix file; a matrix of less than three dimensions has its header filled up with ones."""
    magic = 0x1E3D4C55 if values.dtype == np.uint8 else 0x1E3D4C54
    numbers = [magic, values.ndim, *values.shape, *[1] * (3 - values.ndim)]
    return b"".join(number.to_bytes(4, "little") for number in numbers) + values.tobytes()


def originals(pairs: int, seed: int = 0) -> dict[str, NDArray[np.uint8] | NDArray[np.int32]]:
    """What the three original files of smallNORB hold, of random images: ``dat``, ``cat`` and ``info``."""
    draws = np.random.default_rng(seed)
    columns = [
        draws.choice([4, 6, 7, 8, 9], pairs),
        draws.integers(9, size=pairs),
        2 * draws.integers(18, size=pairs),
        draws.integers(6, size=pairs),
    ]
    return {
        "dat": draws.integers(256, size=(pairs, 2, 96, 96)).astype(np.uint8),
        "cat": (np.arange(pairs) % 5).astype(np.int32),
        "info": np.stack(columns, 1).astype(np.int32),
    }


def prepared(pairs: int, seed: int = 0) -> dict[str, NDArray[np.uint8] | NDArray[np.int8]]:
    """The arrays of smallNORB's prepared file, of random images."""
    draws = np.random.default_rng(seed)
    return {
        "images": draws.integers(256, size=(pairs, 2, 48, 48)).astype(np.uint8),
        "category": (np.arange(pairs) % 5).astype(np.int8),
        "instance": draws.choice([4, 6, 7, 8, 9], pairs).astype(np.int8),
        "elevation": draws.integers(9, size=pairs).astype(np.int8),
        "lighting": draws.integers(6, size=pairs).astype(np.int8),
        "azimuth_relative": draws.integers(18, size=pairs).astype(np.int8),
    }
