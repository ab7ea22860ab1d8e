"""Pictures of every form become the bytes that are sent."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from matcaps.client.images import contents_of, encoded, png


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 1), (1, 1), (4, 7, 3)])
def test_pixels_become_a_png_with_the_same_pixels(shape: tuple[int, ...]) -> None:
    """Grey and RGB pixels come back from Pillow as they were, also those of a view."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for view in (pixels, pixels[::-1, ::-1]):
        image = Pillow.open(io.BytesIO(png(view)))
        assert image.mode == ("RGB" if shape[2:] == (3,) else "L")
        np.testing.assert_array_equal(np.asarray(image), view.reshape(view.shape[:2] if image.mode == "L" else shape))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.float32),
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((1, 1, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_an_array_of_another_kind_is_refused(pixels: Any) -> None:
    """The error names the type and the shape that came."""
    with pytest.raises(ValueError, match=r"uint8 \[row, column\]") as caught:
        encoded(pixels)
    assert f"got {pixels.dtype} {list(pixels.shape)};" in str(caught.value)


def test_pairs_are_counted() -> None:
    """Pairs become consecutive pictures; single pictures have no number of pairs."""
    assert contents_of(b"a") == ([b"a"], None)
    assert contents_of([b"a", bytearray(b"b"), io.BytesIO(b"c")]) == ([b"a", b"b", b"c"], None)
    assert contents_of((b"a", b"b")) == ([b"a", b"b"], 1)
    assert contents_of([(b"a", b"b"), (b"c", b"d")]) == ([b"a", b"b", b"c", b"d"], 2)
    assert contents_of(iter([b"a"])) == ([b"a"], None)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([], ValueError, "at least one image"),
        ([b"a", (b"b", b"c")], ValueError, r"1 pair\(s\) among 2"),
        ((b"a", b"b", b"c"), ValueError, "got a tuple of 3; give many images as a list"),
        (3, TypeError, "got int"),
        ([None], TypeError, "got NoneType"),
        (io.StringIO("a"), TypeError, "binary mode, got str"),
    ],
)
def test_what_is_no_picture_is_refused(images: Any, error: type[Exception], message: str) -> None:
    """The error names what was found."""
    with pytest.raises(error, match=message):
        contents_of(images)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    """The error is that of opening the file, and names it."""
    with pytest.raises(FileNotFoundError, match=r"away\.png"):
        contents_of(tmp_path / "away.png")
