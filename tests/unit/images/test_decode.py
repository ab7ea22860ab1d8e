"""Bytes to an upright image in 8-bit grey."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.decode import decode, open_image
from matcaps.images.errors import BrokenImageError, LargeImageError, UnsupportedImageError
from matcaps.images.fit import fit
from tests.support.doubles import encoded

GENERATOR = np.random.default_rng(7)
SCENE = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # no symmetry: each orientation differs


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(open_image(content, max_pixels=1_000_000)))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_grey_level(kind: str) -> None:
    """A grey image comes out of a lossless format unchanged."""
    assert np.array_equal(pixels(encoded(Image.fromarray(SCENE), kind)), SCENE)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_formats_keep_a_level_within_three(kind: str, options: dict[str, int]) -> None:
    """A uniform image comes out of a lossy format with its level, give or take three."""
    content = encoded(Image.new("RGB", (20, 20), (90, 90, 90)), kind, **options)
    assert np.abs(pixels(content).astype(int) - 90).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "TIFF compressed"])
def test_every_exif_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    """An image comes out upright for each of the eight EXIF orientations."""
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
    """An image with complete pixels is decoded even if its EXIF block is broken."""
    content = encoded(Image.fromarray(SCENE), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert np.array_equal(pixels(content), SCENE)


def test_a_palette_gives_its_colours() -> None:
    """A palette image is decoded to its colours, not to their indices."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image)).tolist() == [[255, 0]]


def test_colours_become_luma() -> None:
    """Colours become luma (ITU-R 601): 0.299 red, 0.587 green, 0.114 blue."""
    image = Image.new("RGB", (3, 1))
    for column, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        image.putpixel((column, 0), colour)
    assert pixels(encoded(image)).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode: str) -> None:
    """Transparent pixels become white, half-transparent black becomes grey, and opaque black stays black."""
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


def test_a_transparent_grey_level_becomes_white() -> None:
    """The one grey level that a PNG declares transparent becomes white."""
    image = Image.fromarray(np.array([[10, 20]], np.uint8))
    assert pixels(encoded(image, transparency=10)).tolist() == [[255, 20]]


@pytest.mark.parametrize(
    ("image", "level"),
    [
        (lambda: Image.new("L", (4, 4), 77), 77),
        (lambda: Image.new("1", (4, 4), 1), 255),
        (lambda: Image.new("RGB", (4, 4), (90, 90, 90)), 90),
        (lambda: Image.new("RGBA", (4, 4), (90, 90, 90, 0)), 255),
        (lambda: Image.new("RGBA", (4, 4), (90, 90, 90, 255)), 90),
        (lambda: Image.new("LA", (4, 4), (0, 0)), 255),
        (lambda: Image.new("CMYK", (4, 4), (0, 0, 0, 0)), 255),
        (lambda: Image.new("RGB", (4, 4), (60, 60, 60)).quantize(2), 60),
        (lambda: Image.fromarray(np.full((4, 4), 77 * 257, np.uint16)), 77),
        (lambda: Image.fromarray(np.full((4, 4), 70_000, np.int32)), 255),
        (lambda: Image.fromarray(np.full((4, 4), 0.2, np.float32)), 51),
        (lambda: Image.fromarray(np.full((4, 4), 51.0, np.float32)), 51),
    ],
    ids=["L", "1", "RGB", "clear", "opaque", "LA", "CMYK", "P", "16 bits", "32 bits", "float to 1", "float to 255"],
)
def test_every_mode_becomes_grey(image: Callable[[], Image.Image], level: int) -> None:
    """Bits, palettes, RGB, CMYK, transparency on white, 16 bits and floats become 8-bit grey."""
    assert (pixels(encoded(image(), "TIFF")) == level).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_to_eight(kind: str) -> None:
    """16-bit grey is scaled so that 65535 is white and no level wraps around."""
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert pixels(encoded(Image.fromarray(values), kind)).tolist() == [[0, 1, 128, 255]]


def test_thirty_two_bit_integers_are_read_as_sixteen_bits() -> None:
    """Integers of 32 bits are read on the 16-bit scale."""
    assert pixels(encoded(Image.fromarray(np.array([[0, 65535, 25700]], np.int32)), "TIFF")).tolist() == [[0, 255, 100]]


@pytest.mark.parametrize("overshoot", [1.0, 1.02, 1.25])
@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_floats_have_the_smallest_range_that_holds_them(scale: float, overshoot: float) -> None:
    """A float TIFF is read as 0 to 1, 255 or 65535; a quarter more is white, since resampled pictures overshoot."""
    values = np.array([[0.0, 0.2, overshoot]], np.float32) * np.float32(scale)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 51, 255]]


def test_floats_that_are_not_finite_become_levels() -> None:
    """NaN and infinite floats become levels from 0 to 255, without a warning."""
    values = np.array([[np.nan, np.inf, -np.inf, 255.0]], np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 255, 0, 255]]


def test_one_bit_images_are_black_and_white() -> None:
    """A 1-bit image is decoded to 0 and 255."""
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        assert pixels(encoded(image, kind)).tolist() == [[0, 255]]


@pytest.mark.parametrize("opacity", [0, 128, 255])
def test_an_alpha_of_zeros_in_a_bmp_is_no_alpha(opacity: int) -> None:
    """A BMP whose alpha is 0 everywhere is opaque, as viewers show it. Any other alpha counts."""
    image = Image.merge("RGBA", [*Image.fromarray(SCENE).convert("RGB").split(), Image.new("L", (4, 3), 0)])
    image.putpixel((0, 0), (0, 0, 0, opacity))
    expected = SCENE if opacity == 0 else np.full_like(SCENE, 255)
    expected = expected.copy()
    expected[0, 0] = 0 if opacity == 0 else 255 - opacity
    assert np.array_equal(pixels(_bmp_with_alpha(image)), expected)


def _bmp_with_alpha(image: Image.Image) -> bytes:
    """A BMP of version 4, whose header says where the alpha is."""
    rows = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_ink_is_dark(kind: str) -> None:
    """A CMYK pixel without ink is white, and one with full black ink is black."""
    for ink, level in [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)]:
        assert abs(int(pixels(encoded(Image.new("CMYK", (8, 8), ink), kind)).mean()) - level) <= 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_used(kind: str) -> None:
    """The first frame of an animation and the first page of a TIFF are decoded."""
    frames = [Image.new("RGB", (16, 16), level) for level in ("black", "white")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(content).max() == 0


def test_a_huge_image_is_rejected_by_its_header() -> None:
    """A small file whose header claims a huge image is rejected before it is decoded."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    small = encoded(Image.new("RGB", (1, 1)))
    bomb = small.replace(small[16:29], header)
    with pytest.raises((LargeImageError, BrokenImageError)):
        open_image(bomb, max_pixels=1_000_000)
    with pytest.raises(LargeImageError, match="70000×50000"):
        open_image(b"P5 70000 50000 255\n", max_pixels=1_000_000)


@pytest.mark.parametrize("kind", ["GIF", "ICO", "PDF", "JPEG2000", "AVIF"])
def test_unsupported_formats_are_named(kind: str) -> None:
    """An unsupported format is named, even if Pillow could read it."""
    with pytest.raises(UnsupportedImageError, match="supported formats: PNG, JPEG, WEBP, BMP, TIFF, PGM"):
        pixels(encoded(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_truncated_files_are_rejected(kind: str) -> None:
    """Half a file is rejected, and the message holds no path and no memory address."""
    image = Image.fromarray(GENERATOR.integers(0, 256, (40, 40, 3), np.uint8))
    content = encoded(image, kind)
    with pytest.raises(BrokenImageError) as refused:
        pixels(content[: len(content) // 2])
    assert "0x" not in str(refused.value)
    assert "/" not in str(refused.value)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of broken metadata
def test_mutated_files_are_decoded_or_rejected(kind: str, changes: list[tuple[int, int]]) -> None:
    """A file with a few wrong bytes is either decoded or rejected with an error of its own."""
    content = bytearray(encoded(Image.fromarray(SCENE).resize((24, 18)), kind))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        image = decode(open_image(bytes(content), max_pixels=100_000))
    except (BrokenImageError, LargeImageError, UnsupportedImageError):
        return
    assert image.mode == "L"
    assert fit(image, 8, 8).shape == (8, 8)
