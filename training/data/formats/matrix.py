"""Reads the binary matrix files of smallNORB: magic number, dimensions, values, little endian."""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matcaps.training.data.formats.files import expect_size, read_bytes

BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
TYPES: dict[int, np.dtype[np.uint8] | np.dtype[np.int32]] = {
    BYTES: np.dtype(np.uint8),
    INTEGERS: np.dtype("<i4"),
}
LEAST_DIMENSIONS = 3  # a header has at least three, even if the matrix has fewer


def read_matrix(path: Path) -> NDArray[np.uint8] | NDArray[np.int32]:
    """The array of a binary matrix file.

    Raises:
        ValueError: The magic number or the size is wrong, or there are no values.
    """
    content = read_bytes(path)
    header = 8 + 4 * LEAST_DIMENSIONS
    if len(content) < header:
        raise ValueError(f"{path} is truncated: a matrix header takes at least {header} bytes, found {len(content)}")
    magic, dimensions = struct.unpack("<II", content[:8])
    if magic not in TYPES:
        known = " or ".join(f"{value:#010x}" for value in TYPES)
        raise ValueError(f"{path} is not a matrix of bytes or integers: magic number {known}, found {magic:#010x}")
    if not 1 <= dimensions <= 8:
        raise ValueError(f"{path} must have 1 to 8 dimensions, its header says {dimensions}")
    header = 8 + 4 * max(LEAST_DIMENSIONS, dimensions)
    if len(content) < header:
        raise ValueError(f"{path} is truncated: its header takes {header} bytes, found {len(content)}")
    shape = struct.unpack(f"<{dimensions}I", content[8 : 8 + 4 * dimensions])
    written = "×".join(map(str, shape))
    if 0 in shape:
        raise ValueError(f"{path} has no values: its header says {written}")
    dtype = TYPES[magic]
    expect_size(path, len(content) - header, math.prod(shape) * dtype.itemsize, f"{written} values")
    return np.frombuffer(content, dtype, offset=header).reshape(shape)
