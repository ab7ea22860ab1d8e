"""Grey images to the size that a model takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from matcaps.images.fit import fit

GENERATOR = np.random.default_rng(7)


def test_96_pixels_become_48_as_in_the_prepared_data() -> None:
    """A 96×96 image becomes exactly its 2×2 block means, rounded half to even, as in the prepared smallNORB."""
    image = GENERATOR.integers(0, 256, (96, 96), np.uint8)
    sums = image.reshape(48, 2, 48, 2).sum((1, 3), dtype=np.int64)
    assert np.array_equal(fit(Image.fromarray(image), 48, 48), np.rint(sums / 4))


def test_an_image_of_the_same_size_is_unchanged() -> None:
    """An image that has the model's size is returned unchanged."""
    image = GENERATOR.integers(0, 256, (28, 28), np.uint8)
    assert np.array_equal(fit(Image.fromarray(image), 28, 28), image)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.sampled_from([(48, 48), (28, 28), (20, 33)]), st.integers(0, 255))
def test_a_uniform_image_stays_uniform(width: int, height: int, target: tuple[int, int], level: int) -> None:
    """A uniform image of any size keeps its level in every pixel."""
    fitted = fit(Image.new("L", (width, height), level), *target)
    assert fitted.shape == target
    assert np.all(fitted == level)


@settings(max_examples=10, deadline=None)
@given(st.integers(48, 200), st.integers(0, 2**32 - 1))
def test_a_shrunk_pixel_is_an_average_of_its_area(side: int, seed: int) -> None:
    """A shrunk pixel lies between the darkest and the brightest pixel of the area it covers."""
    image = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    fitted = fit(Image.fromarray(image), 48, 48)
    for row, column in np.ndindex(fitted.shape):
        down, across = (slice(place * side // 48, -(-(place + 1) * side // 48)) for place in (row, column))
        area = image[down, across]
        assert area.min() <= fitted[row, column] <= area.max()


@pytest.mark.parametrize("factor", [3, 5, 40])
def test_whole_blocks_are_averaged_and_rounded_once(factor: int) -> None:
    """A whole shrinking factor gives block means that are rounded once."""
    image = GENERATOR.integers(0, 256, (8 * factor, 6 * factor), np.uint8)
    means = image.reshape(8, factor, 6, factor).mean((1, 3))
    assert (
        np.abs(fit(Image.fromarray(image), 8, 6) - means).max() <= 0.5 + 0.5 / factor**2 + 1e-4
    )  # Pillow halves odd areas downwards


def test_the_centre_is_cropped() -> None:
    """An image of another aspect is cropped equally on both sides."""
    image = np.zeros((10, 30), np.uint8)
    image[:, 10:20] = 200
    assert np.all(fit(Image.fromarray(image), 5, 5) == 200)
    assert np.all(fit(Image.fromarray(image.T), 5, 5) == 200)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_centre_square_is_taken(transposed: bool) -> None:
    """An oblong image loses as much on one side as on the other."""
    pixels = np.zeros((4, 10), np.uint8)
    pixels[:, 3:7] = np.arange(16).reshape(4, 4)
    square = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = Image.fromarray(pixels.T if transposed else pixels)
    assert np.array_equal(fit(image, 4, 4), square.T if transposed else square)


@settings(deadline=None, max_examples=60)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(0, 2**32 - 1))
def test_shrinking_is_rounded_once(width: int, height: int, seed: int) -> None:
    """A picture of any size is shrunk to the means of the pixels whose centres each area holds, rounded once."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side].astype(float)
    edges, centres = np.arange(9) * side / 8, np.arange(side) + 0.5
    covered = (centres > edges[:-1, None]) & (centres <= edges[1:, None])
    shares = covered / covered.sum(1, keepdims=True)
    means = shares @ square @ shares.T
    assert np.abs(fit(Image.fromarray(image), 8, 8) - means).max() <= 0.501


def test_enlarging_interpolates_bilinearly() -> None:
    """Enlarging interpolates linearly from one pixel's centre to the next."""
    image = Image.fromarray(np.array([[0, 100], [0, 100]], np.uint8))
    assert fit(image, 4, 4)[1].tolist() == [0, 25, 75, 100]


def test_each_channel_of_colours_is_fitted_as_grey() -> None:
    """A coloured image gives its three channels first, each as if it were a grey image."""
    for width, height in ((28, 28), (90, 61), (9, 13), (56, 84)):
        pixels = GENERATOR.integers(0, 256, (height, width, 3), np.uint8)
        expected = [fit(Image.fromarray(pixels[..., channel]), 28, 28) for channel in range(3)]
        assert np.array_equal(fit(Image.fromarray(pixels), 28, 28), np.stack(expected))
