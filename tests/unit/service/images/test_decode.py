"""Bytes to grey pixels, and pixels to the size that a model takes."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.errors import TooLargeError, UndecodableError, UnsupportedTypeError
from matcaps.service.images.decode import decode, fit, open_image
from tests.support.doubles import encoded

GENERATOR = np.random.default_rng(7)
SCENE = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # no symmetry: each orientation differs


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(open_image(content, max_pixels=1_000_000)))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_formats_that_lose_nothing(kind: str) -> None:
    """Grey pixels come out of a lossless format as they went in."""
    assert np.array_equal(pixels(encoded(Image.fromarray(SCENE), kind)), SCENE)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_formats_that_lose_something(kind: str, options: dict[str, int]) -> None:
    """An even area comes out of a lossy format to a few levels."""
    content = encoded(Image.new("RGB", (20, 20), (90, 90, 90)), kind, **options)
    assert np.abs(pixels(content).astype(int) - 90).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "TIFF compressed"])
def test_orientation(kind: str, orientation: int) -> None:
    """An image comes out upright whichever of the eight EXIF orientations its camera wrote."""
    undone: dict[int, NDArray[np.uint8]] = {
        1: SCENE,
        2: SCENE[:, ::-1],
        3: SCENE[::-1, ::-1],
        4: SCENE[::-1],
        5: SCENE.T,
        6: SCENE.T[::-1],
        7: SCENE.T[::-1, ::-1],
        8: SCENE.T[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    name, _, compressed = kind.partition(" ")
    options: dict[str, Any] = {"lossless": True} if name == "WEBP" else {}
    if compressed:
        options["compression"] = "tiff_lzw"
    content = encoded(Image.fromarray(undone[orientation]), name, exif=exif, **options)
    assert np.abs(pixels(content).astype(int) - SCENE).max() <= 1


def test_broken_exif_is_ignored() -> None:
    """An image whose pixels are whole is served even if its EXIF block is not."""
    content = encoded(Image.fromarray(SCENE), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert np.array_equal(pixels(content), SCENE)


def test_palette() -> None:
    """A palette's colours count, and not its indices."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image)).tolist() == [[255, 0]]


def test_luma() -> None:
    """Colours become luma (ITU-R 601): 0.299 red, 0.587 green, 0.114 blue."""
    image = Image.new("RGB", (3, 1))
    for column, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        image.putpixel((column, 0), colour)
    assert pixels(encoded(image)).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(mode: str) -> None:
    """What is transparent looks as on a white page, half-transparent black is grey, opaque black stays."""
    image = Image.new("RGBA", (3, 1))
    for column, alpha in enumerate([0, 128, 255]):
        image.putpixel((column, 0), (0, 0, 0, alpha))
    if mode == "P":
        image = Image.new("P", (3, 1))
        image.putpalette([0, 0, 0] * 3)
        for column in range(3):
            image.putpixel((column, 0), column)
        content = encoded(image, transparency=bytes([0, 128, 255]))
    else:
        content = encoded(image.convert(mode))
    assert pixels(content).tolist() == [[255, 127, 0]]


def test_transparent_colour_shows_white() -> None:
    """A PNG's one transparent grey level is white, too."""
    image = Image.fromarray(np.array([[10, 20]], np.uint8))
    assert pixels(encoded(image, transparency=10)).tolist() == [[255, 20]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits(kind: str) -> None:
    """16-bit grey is scaled, so that 65535 is white and no level wraps around."""
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert pixels(encoded(Image.fromarray(values), kind)).tolist() == [[0, 1, 128, 255]]


def test_sixteen_bits_in_mode_i() -> None:
    """Integers of 32 bits are read on the scale of 16 bits."""
    assert pixels(encoded(Image.fromarray(np.array([[0, 65535, 25700]], np.int32)), "TIFF")).tolist() == [[0, 255, 100]]


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_floats(scale: float) -> None:
    """A float TIFF is read as 0 to 1, or as 0 to 255 if it goes beyond 1."""
    values = np.array([[0.0, 0.2, 1.0]], np.float32) * np.float32(scale)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 51, 255]]


def test_floats_that_are_no_numbers() -> None:
    """Floats that are not finite end inside the range, without a warning."""
    values = np.array([[np.nan, np.inf, -np.inf, 255.0]], np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 255, 0, 255]]


def test_one_bit() -> None:
    """A 1-bit image is black and white."""
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        assert pixels(encoded(image, kind)).tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    """No ink is white and full black ink is black, in print's colours."""
    for ink, level in [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)]:
        assert abs(int(pixels(encoded(Image.new("CMYK", (8, 8), ink), kind)).mean()) - level) <= 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_first_frame(kind: str) -> None:
    """Of an animation or a file of many pages the first one counts."""
    frames = [Image.new("RGB", (16, 16), level) for level in ("black", "white")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(content).max() == 0


def test_pixels_are_counted_before_decoding() -> None:
    """A small file that claims to hold a huge image is refused by its header."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    small = encoded(Image.new("RGB", (1, 1)))
    bomb = small.replace(small[16:29], header)
    with pytest.raises((TooLargeError, UndecodableError)):
        open_image(bomb, max_pixels=1_000_000)
    with pytest.raises(TooLargeError, match="70000×50000"):
        open_image(b"P5 70000 50000 255\n", max_pixels=1_000_000)


@pytest.mark.parametrize("kind", ["GIF", "ICO", "PDF", "JPEG2000", "AVIF"])
def test_other_formats(kind: str) -> None:
    """A format that is not served is named as such, even where the decoder at hand could read it."""
    with pytest.raises(UnsupportedTypeError, match="served are PNG"):
        pixels(encoded(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_truncated(kind: str) -> None:
    """Half a file is refused in words that tell nothing of this machine."""
    image = Image.fromarray(GENERATOR.integers(0, 256, (40, 40, 3), np.uint8))
    content = encoded(image, kind)
    with pytest.raises(UndecodableError) as refused:
        pixels(content[: len(content) // 2])
    assert "0x" not in str(refused.value)
    assert "/" not in str(refused.value)


def test_prepared_images() -> None:
    """A 96×96 image becomes exactly its 2×2 block means, halves to even: the prepared form of smallNORB."""
    image = GENERATOR.integers(0, 256, (96, 96), np.uint8)
    sums = image.reshape(48, 2, 48, 2).sum((1, 3), dtype=np.int64)
    assert np.array_equal(fit(Image.fromarray(image), 48, 48), np.rint(sums / 4))


def test_same_size_is_untouched() -> None:
    """An image of the model's size goes in as it is."""
    image = GENERATOR.integers(0, 256, (28, 28), np.uint8)
    assert np.array_equal(fit(Image.fromarray(image), 28, 28), image)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.sampled_from([(48, 48), (28, 28), (20, 33)]), st.integers(0, 255))
def test_even_images_stay_even(width: int, height: int, target: tuple[int, int], level: int) -> None:
    """Whatever its size, an even image fits the model with its one level everywhere."""
    fitted = fit(Image.new("L", (width, height), level), *target)
    assert fitted.shape == target
    assert np.all(fitted == level)


@settings(max_examples=10, deadline=None)
@given(st.integers(48, 200), st.integers(0, 2**32 - 1))
def test_shrinking_averages_areas(side: int, seed: int) -> None:
    """A shrunk pixel lies between the darkest and the brightest pixel of the area that it covers."""
    image = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    fitted = fit(Image.fromarray(image), 48, 48)
    for row, column in np.ndindex(fitted.shape):
        down, across = (slice(place * side // 48, -(-(place + 1) * side // 48)) for place in (row, column))
        area = image[down, across]
        assert area.min() <= fitted[row, column] <= area.max()


@pytest.mark.parametrize("factor", [3, 5, 40])
def test_whole_blocks_are_averaged_exactly(factor: int) -> None:
    """Any whole factor gives block means that are rounded once."""
    image = GENERATOR.integers(0, 256, (8 * factor, 6 * factor), np.uint8)
    means = image.reshape(8, factor, 6, factor).mean((1, 3))
    assert (
        np.abs(fit(Image.fromarray(image), 8, 6) - means).max() <= 0.5 + 0.5 / factor**2 + 1e-4
    )  # Pillow halves odd areas downwards


def test_centre_crop() -> None:
    """What sticks out of the model's aspect is cut off on both sides alike."""
    image = np.zeros((10, 30), np.uint8)
    image[:, 10:20] = 200
    assert np.all(fit(Image.fromarray(image), 5, 5) == 200)
    assert np.all(fit(Image.fromarray(image.T), 5, 5) == 200)


def test_enlarging_is_bilinear() -> None:
    """Enlarging runs evenly from one pixel's centre to the next."""
    image = Image.fromarray(np.array([[0, 100], [0, 100]], np.uint8))
    assert fit(image, 4, 4)[1].tolist() == [0, 25, 75, 100]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on broken metadata
def test_mutated_files(kind: str, changes: list[tuple[int, int]]) -> None:
    """A file with a few wrong bytes is decoded or refused; nothing else comes out."""
    content = bytearray(encoded(Image.fromarray(SCENE).resize((24, 18)), kind))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        image = decode(open_image(bytes(content), max_pixels=100_000))
    except (UndecodableError, TooLargeError, UnsupportedTypeError):
        return
    assert image.mode == "L"
    assert fit(image, 8, 8).shape == (8, 8)
