"""A truncated file is rejected wherever it ends."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcaps.training.data.formats.idx import IMAGES_MAGIC, read_idx
from matcaps.training.data.formats.matrix import read_matrix
from tests.support.writers import idx, matrix


def read_images(path: Path) -> Any:
    """An idx file of images."""
    return read_idx(path, IMAGES_MAGIC)


FORMS = {
    "idx": (read_images, idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)), 16),
    "matrix": (read_matrix, matrix(np.arange(12, dtype=np.int32).reshape(3, 4)), 20),
}
form = pytest.mark.parametrize(("read", "whole", "header"), FORMS.values(), ids=FORMS)


@form
@settings(deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_rejected(
    tmp_path_factory: pytest.TempPathFactory,
    read: Callable[[Path], Any],
    whole: bytes,
    header: int,
    data: st.DataObject,
) -> None:
    """The error has the file and the number of bytes found in the header or the values."""
    length = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(whole[:length])
    with pytest.raises(ValueError, match="is truncated") as error:
        read(path)
    assert str(path) in str(error.value)
    assert str(error.value).endswith(f"found {length if length < header else length - header}")


@form
@settings(deadline=None)
@given(data=st.data())
def test_a_truncated_gzip_file_is_rejected(
    tmp_path_factory: pytest.TempPathFactory,
    read: Callable[[Path], Any],
    whole: bytes,
    header: int,
    data: st.DataObject,
) -> None:
    """A compressed file may end anywhere, at its first byte or in its trailer."""
    compressed = gzip.compress(whole)
    path = tmp_path_factory.mktemp("cut") / "file.gz"
    path.write_bytes(compressed[: data.draw(st.integers(0, len(compressed) - 1))])
    with pytest.raises(ValueError, match=r"is not a complete gzip file|is truncated: .* found 0$") as error:
        read(path)
    assert str(path) in str(error.value)
