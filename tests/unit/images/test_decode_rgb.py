"""Bytes to an upright picture in sRGB."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.decode import decode, decode_rgb, open_image
from matcaps.images.errors import BrokenImageError
from tests.support.doubles import encoded

COLOURS = np.random.default_rng(8).integers(0, 256, (18, 21, 3)).astype(np.uint8)
GREY = np.random.default_rng(9).integers(0, 256, (18, 21)).astype(np.uint8)
OPACITY = np.random.default_rng(10).integers(0, 256, (18, 21)).astype(np.uint8)
WIDE = COLOURS.astype(np.uint16) * 257
OVER_WHITE = np.asarray(
    Image.alpha_composite(
        Image.new("RGBA", (21, 18), "white"), Image.fromarray(np.dstack([COLOURS, OPACITY]), "RGBA")
    ).convert("RGB")
)
SMOOTH = np.dstack(
    [np.add.outer(row * np.arange(32), column * np.arange(32)) for row, column in ((64, 32), (0, 96), (100, 0))]
).astype(np.uint16)  # 12 bits


def shown(content: bytes) -> NDArray[np.uint8]:
    """The decoded colours."""
    return np.asarray(decode_rgb(open_image(content, max_pixels=10_000)))


def tiff(pixels: NDArray[np.generic], **options: Any) -> bytes:
    """A TIFF file."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def planes(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same pixels with their channels first."""
    return np.moveaxis(pixels, 2, 0)


def palette() -> Image.Image:
    """A picture of 21 colours."""
    return Image.fromarray(COLOURS).quantize(21)


def premultiplied() -> NDArray[np.uint8]:
    """Colours multiplied by their opacity, and the opacity."""
    samples: NDArray[np.uint8] = np.rint(np.dstack([COLOURS * (OPACITY[..., None] / 255.0), OPACITY])).astype(np.uint8)
    return samples


def bmp_with_unused_alpha() -> bytes:
    """A BMP of 32 bits with an alpha of zeros."""
    rows = np.dstack([COLOURS[::-1, :, ::-1], np.zeros_like(GREY)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 21, 18, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


EXACT: dict[str, tuple[Callable[[], bytes], NDArray[np.uint8]]] = {
    "PNG": (lambda: encoded(Image.fromarray(COLOURS)), COLOURS),
    "PNG with alpha": (lambda: encoded(Image.fromarray(np.dstack([COLOURS, OPACITY]))), OVER_WHITE),
    "PNG of 16 bits": (lambda: bytes(imagecodecs.png_encode(WIDE)), COLOURS),
    "PNG of 16 bits with alpha": (
        lambda: bytes(imagecodecs.png_encode(np.dstack([WIDE, OPACITY.astype(np.uint16) * 257]))),
        OVER_WHITE,
    ),
    "PNG with a palette": (lambda: encoded(palette()), np.asarray(palette().convert("RGB"))),
    "PNG with a broken text": (
        lambda: with_chunk(encoded(Image.fromarray(COLOURS)), b"tEXt", b"Comment\0none", error=1),
        COLOURS,
    ),
    "lossless WebP": (lambda: encoded(Image.fromarray(COLOURS), "WEBP", lossless=True), COLOURS),
    "BMP": (lambda: encoded(Image.fromarray(COLOURS), "BMP"), COLOURS),
    "BMP with an unused alpha": (bmp_with_unused_alpha, COLOURS),
    "PPM": (lambda: encoded(Image.fromarray(COLOURS), "PPM"), COLOURS),
    "PPM of 16 bits": (lambda: b"P6 21 18 65535\n" + WIDE.astype(">u2").tobytes(), COLOURS),
    "TIFF": (lambda: encoded(Image.fromarray(COLOURS), "TIFF"), COLOURS),
    "TIFF in planes": (lambda: tiff(planes(COLOURS), photometric="rgb", planarconfig="separate"), COLOURS),
    "TIFF of 16 bits": (lambda: tiff(WIDE, photometric="rgb", byteorder=">"), COLOURS),
    "TIFF of 16 bits in planes": (lambda: tiff(planes(WIDE), photometric="rgb", planarconfig="separate"), COLOURS),
    "TIFF of floats": (lambda: tiff(COLOURS.astype(np.float32) / np.float32(255), photometric="rgb"), COLOURS),
    "big TIFF": (lambda: tiff(COLOURS, photometric="rgb", bigtiff=True, byteorder=">"), COLOURS),
    "TIFF with a colour map": (
        lambda: tiff(GREY, photometric="palette", colormap=np.stack([np.arange(256), *[np.zeros(256)] * 2]) * 257),
        np.dstack([GREY, np.zeros_like(GREY), np.zeros_like(GREY)]),
    ),
}


def with_chunk(png: bytes, name: bytes, content: bytes, *, error: int = 0) -> bytes:
    """A PNG with another chunk after its header."""
    checksum = struct.pack(">I", zlib.crc32(name + content) ^ error)
    return png[:33] + struct.pack(">I", len(content)) + name + content + checksum + png[33:]


@pytest.mark.parametrize("name", EXACT)
def test_lossless_colours_are_exact(name: str) -> None:
    """Every lossless kind of every format gives the colours that were written, over white where it has an alpha."""
    make, expected = EXACT[name]
    assert np.array_equal(shown(make()), expected)


@pytest.mark.parametrize("name", EXACT)
def test_the_luma_of_the_colours_is_the_grey(name: str) -> None:
    """The same file in grey is the luma of its colours."""
    content = EXACT[name][0]()
    grey = np.asarray(decode(open_image(content)))
    assert np.array_equal(np.asarray(Image.fromarray(shown(content)).convert("L")), grey)


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_both_kinds_of_alpha_of_a_tiff_are_over_white(kind: str) -> None:
    """Associated and unassociated alpha give the same colours, to the rounding of the file."""
    samples = premultiplied() if kind == "assocalpha" else np.dstack([COLOURS, OPACITY])
    found = shown(tiff(samples, photometric="rgb", extrasamples=[kind]))
    assert np.abs(found.astype(int) - OVER_WHITE).max() <= 1


GREYS: dict[str, Callable[[], bytes]] = {
    "L": lambda: encoded(Image.fromarray(GREY)),
    "1": lambda: encoded(Image.fromarray(GREY).convert("1")),
    "LA": lambda: encoded(Image.fromarray(np.dstack([GREY, OPACITY]))),
    "16 bits": lambda: encoded(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "a transparent level": lambda: encoded(Image.fromarray(GREY), transparency=int(GREY[0, 0])),
    "JPEG": lambda: encoded(Image.fromarray(GREY), "JPEG"),
    "JPEG of 12 bits": lambda: bytes(imagecodecs.jpeg8_encode(SMOOTH[..., 0].copy(), level=98, bitspersample=12)),
    "PGM": lambda: encoded(Image.fromarray(GREY), "PPM"),
    "white is 0": lambda: tiff(GREY.astype(np.uint16), photometric="miniswhite"),
    "floats": lambda: tiff(GREY / np.float32(255), photometric="minisblack"),
    "12 bits": lambda: tiff(GREY.astype(np.uint16), photometric="minisblack", bitspersample=12),
}


@pytest.mark.parametrize("make", GREYS.values(), ids=GREYS)
def test_a_grey_picture_gets_three_equal_channels(make: Callable[[], bytes]) -> None:
    """A grey picture of every kind is the same in all channels as in grey."""
    content = make()
    grey = np.asarray(decode(open_image(content)))
    assert np.array_equal(shown(content), np.dstack([grey] * 3))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_colours_are_near(kind: str) -> None:
    """Even colours come out of a lossy format as they are, give or take three."""
    for colour in [(250, 10, 10), (10, 250, 10), (10, 10, 250), (200, 120, 40)]:
        content = encoded(Image.new("RGB", (16, 16), colour), kind, quality=95)
        assert np.abs(shown(content).astype(int) - colour).max() <= 3


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (16, True)])
def test_deep_jpegs_keep_their_colours(bits: int, lossless: bool) -> None:
    """A JPEG of 12 bits, or lossless of 16, has the colours that were written, on the scale of its depth."""
    levels = SMOOTH * np.uint16(16) if lossless else SMOOTH
    content = bytes(imagecodecs.jpeg8_encode(levels, level=98, bitspersample=bits, lossless=lossless))
    expected = levels * 255.0 / (2.0**bits - 1.0)
    assert np.abs(shown(content) - expected).max() <= (0.5 if lossless else 5)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_take_their_colours_away(kind: str, depth: int) -> None:
    """Cyan, magenta, yellow and black ink take away red, green, blue and everything."""
    ink = np.zeros((16, 16, 4), np.uint8)
    for number, expected in enumerate([(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0)]):
        ink[:] = [255 * (number == place) for place in range(4)]
        if kind == "JPEG":
            content = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=95)
        else:
            content = tiff(ink if depth == 8 else ink.astype(np.uint16) * 257, photometric="separated")
        assert np.abs(shown(content).astype(int) - expected).max() <= 2


def test_colours_of_lab_are_converted() -> None:
    """A TIFF in CIELab has the colours that it was made from."""
    for colour in [(200, 40, 40), (40, 200, 40), (40, 40, 200)]:
        lab = Image.new("RGB", (4, 4), colour).convert("LAB")
        assert np.abs(shown(encoded(lab, "TIFF")).astype(int) - colour).max() <= 6


def test_every_orientation_is_turned_with_its_colours() -> None:
    """The orientation is applied to all channels, where Pillow reads the file and where others do."""
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = COLOURS[::-1, ::-1]
    assert np.array_equal(shown(encoded(Image.fromarray(COLOURS), exif=exif)), turned)
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert np.array_equal(shown(with_chunk(bytes(imagecodecs.png_encode(WIDE)), b"eXIf", block)), turned)
    assert np.array_equal(shown(tiff(WIDE, photometric="rgb", extratags=[(274, 3, 1, 3, True)])), turned)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_truncated_files_are_rejected(kind: str) -> None:
    """Half a file is rejected."""
    content = encoded(Image.fromarray(np.tile(COLOURS, (2, 2, 1))), kind)
    with pytest.raises(BrokenImageError):
        shown(content[: len(content) // 2])
