"""Binary matrix files are read completely or rejected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from matcaps.training.data.formats.matrix import read_matrix
from tests.support.writers import matrix


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 2, 3), (2, 3, 2, 2), (1, 2, 1, 2, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_matrix_is_read_as_written(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """Matrices of one to five dimensions are read, though a header has at least three."""
    values: NDArray[Any] = np.random.default_rng(0).integers(200, size=shape).astype(dtype)
    (tmp_path / "matrix.mat").write_bytes(matrix(values))
    read = read_matrix(tmp_path / "matrix.mat")
    assert read.dtype == values.dtype
    assert np.array_equal(read, values)


WHOLE = matrix(np.arange(12, dtype=np.int32).reshape(2, 2, 3))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is truncated: a matrix header takes at least 20 bytes, found 0"),
        (WHOLE[:19], "is truncated: a matrix header takes at least 20 bytes, found 19"),
        (matrix(np.ones((1, 1, 1, 1), np.uint8))[:22], "is truncated: its header takes 24 bytes, found 22"),
        (WHOLE[:-1], "is truncated: 2×2×3 values take 48 bytes, found 47"),
        (WHOLE + b"\0", "is too long: 2×2×3 values take 48 bytes, found 49"),
        (b"\x53" + WHOLE[1:], "magic number 0x1e3d4c55 or 0x1e3d4c54, found 0x1e3d4c53"),
        (WHOLE[3::-1] + WHOLE[4:], "found 0x544c3d1e"),
        (WHOLE[:4] + bytes(4) + WHOLE[8:], "must have 1 to 8 dimensions, its header says 0"),
        (WHOLE[:4] + bytes([9, 0, 0, 0]) + WHOLE[8:], "must have 1 to 8 dimensions, its header says 9"),
        (matrix(np.ones((0, 2, 3), np.uint8)), "has no values: its header says 0×2×3"),
    ],
)
def test_a_broken_matrix_is_rejected(tmp_path: Path, content: bytes, complaint: str) -> None:
    """The error has the file's name, what was expected, and what was found."""
    path = tmp_path / "broken.mat"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} .*{complaint}"):
        read_matrix(path)
