"""PNG: transparency by a colour or level, 16 bits, and mistakes in chunks that change no pixel."""

import struct
import zlib
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from matcaps.images import png as png_files
from matcaps.images.decode import decode, open_image
from matcaps.images.errors import BrokenImageError
from tests.support.doubles import encoded

GENERATOR = np.random.default_rng(7)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(name: bytes, content: bytes, *, error: int = 0) -> bytes:
    """A chunk, with a wrong checksum if ``error`` is not 0."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content) ^ error)


def png(samples: NDArray[np.integer], depth: int, colour: int, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of samples [row, column, sample] of any depth, with chunks before and after the pixels."""
    height, width = samples.shape[:2]
    ones = (samples.reshape(height, -1, 1) >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(ones.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return SIGNATURE + head + before + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")


def shown(content: bytes) -> NDArray[np.uint8]:
    """The decoded grey levels."""
    return np.asarray(decode(open_image(content, max_pixels=10_000)))


def luma(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The grey of RGB levels from 0 to 255."""
    return np.asarray(Image.fromarray(np.rint(levels).astype(np.uint8)).convert("L"))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_every_depth_becomes_white(depth: int) -> None:
    """Exactly the grey level that a PNG declares transparent becomes white, in every bit depth."""
    samples = GENERATOR.integers(0, 2**depth, (9, 13, 1))
    level = int(samples[4, 4, 0])
    samples[0, 0, 0] = level ^ 1  # the nearest level, whose 16 bits Pillow would round to the same
    content = png(samples, depth, GREY, before=chunk(b"tRNS", struct.pack(">H", level)))
    expected = np.where(samples == level, 255, np.rint(samples * 255.0 / (2**depth - 1)))
    assert np.array_equal(shown(content), expected[..., 0])


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_becomes_white(depth: int) -> None:
    """Exactly the colour that a PNG declares transparent becomes white, in 8 and 16 bits."""
    samples = GENERATOR.integers(0, 2**depth, (9, 13, 3))
    colour = samples[4, 4]
    samples[1, 1], samples[0, 0] = colour, colour ^ [0, 0, 1]
    content = png(samples, depth, RGB, before=chunk(b"tRNS", struct.pack(">HHH", *colour)))
    opaque = (samples != colour).any(2, keepdims=True)
    assert np.array_equal(shown(content), luma(np.where(opaque, samples * 255.0 / (2**depth - 1), 255)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_entry_of_a_palette_becomes_white(depth: int) -> None:
    """The entries of a palette have their transparency, in every bit depth."""
    table = GENERATOR.integers(0, 256, (2**depth, 3)).astype(np.uint8)
    opacity = GENERATOR.choice(np.array([0, 255], np.uint8), 2**depth)
    opacity[:2] = 0, 255
    samples = GENERATOR.integers(0, 2**depth, (9, 13, 1))
    content = png(samples, depth, PALETTE, before=chunk(b"PLTE", table.tobytes()) + chunk(b"tRNS", opacity.tobytes()))
    colours = np.where(opacity[:, None] == 255, table, 255)
    assert np.array_equal(shown(content), luma(colours[samples[..., 0]]))


@pytest.mark.parametrize(("colour", "number"), [(GREY, 1), (RGB, 3), (GREY_ALPHA, 2), (RGBA, 4)])
def test_sixteen_bits_are_rounded(colour: int, number: int) -> None:
    """All samples of 16 bits are rounded to 8, alpha too."""
    samples = GENERATOR.integers(0, 65_536, (9, 13, number))
    if number in (2, 4):
        samples[..., -1] = GENERATOR.choice([0, 65_535], (9, 13))
    levels = samples / 257.0
    expected = luma(levels[..., :3]) if number >= 3 else np.rint(levels[..., 0])
    if number in (2, 4):
        expected = np.where(samples[..., -1] == 0, 255, expected)
    assert np.array_equal(shown(png(samples, 16, colour)), expected)


@pytest.mark.parametrize("kind", [GREY, RGB])
def test_interlaced_pixels_of_16_bits_are_read(kind: int) -> None:
    """A 16-bit picture of one pixel, declared as interlaced, is read."""
    content = bytearray(png(np.full((1, 1, 1 if kind == GREY else 3), 25_700), 16, kind))
    content[28] = 1
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert shown(bytes(content)).tolist() == [[100]]


TEXT = b"Comment\0made by hand"
MISTAKES = {
    "a text": chunk(b"tEXt", TEXT, error=1),
    "a compressed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8))),
    "a profile": chunk(b"iCCP", b"sRGB\0\0none", error=1),
    "the physical size": chunk(b"pHYs", b"\0"),
    "the transparency": chunk(b"tRNS", b"\0\1", error=1),
    "an unknown chunk": chunk(b"teSt", b"?", error=1),
    "an animation": chunk(b"acTL", b"\0\0\0\0\0\0\0\0"),
    "EXIF": chunk(b"eXIf", b"\xff" * 20),
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("name", "after"),
    [*product(MISTAKES, [False]), *product([name for name in MISTAKES if name != "the transparency"], [True])],
)
def test_mistakes_beside_the_pixels_are_passed_over(name: str, depth: int, after: bool) -> None:
    """A wrong checksum or a wrong length of a chunk that changes no pixel is no reason to refuse a picture."""
    samples = GENERATOR.integers(0, 2**depth, (9, 13, 1))
    content = png(samples, depth, GREY, **{"after" if after else "before": MISTAKES[name]})
    assert np.array_equal(shown(content), np.rint(samples[..., 0] * 255.0 / (2**depth - 1)))


def test_a_picture_with_a_mistake_is_turned_upright() -> None:
    """The orientation counts, even where another chunk is broken."""
    samples = np.arange(12).reshape(3, 4, 1) * 20
    exif = Image.Exif()
    exif[0x0112] = 3
    before = MISTAKES["a text"] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert np.array_equal(shown(png(samples, 8, GREY, before=before)), samples[::-1, ::-1, 0])


@pytest.mark.parametrize(("name", "depth"), [(b"IHDR", 8), (b"IHDR", 16), (b"IDAT", 16)])
def test_mistakes_in_the_pixels_are_refused(name: bytes, depth: int) -> None:
    """A wrong checksum of the header or of the pixels is refused with the decoder's reason."""
    content = bytearray(png(GENERATOR.integers(0, 2**depth, (30, 30, 1)), depth, GREY))
    place = content.index(name)
    [length] = struct.unpack(">I", content[place - 4 : place])
    content[place + 4 + length] ^= 1
    with pytest.raises(BrokenImageError, match=r"broken PNG file|CRC"):
        shown(bytes(content))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_truncated_picture_is_refused(depth: int) -> None:
    """A file without all of its pixels is refused in 8 and 16 bits."""
    content = png(GENERATOR.integers(0, 2**depth, (30, 30, 1)), depth, GREY)
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(BrokenImageError):
            shown(content[: int(share * len(content))])


def test_two_headers_are_refused() -> None:
    """A second header of a small size does not hide the size of the first."""
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 16, 0, 0, 0, 0))
    content = png(GENERATOR.integers(0, 2**16, (9, 13, 1)), 16, GREY)
    with pytest.raises(BrokenImageError):
        shown(SIGNATURE + large + content[8:])


def test_garbage_in_exif_is_passed_over() -> None:
    """A PNG or WebP whose EXIF cannot be parsed is read, not turned."""
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(image.convert("RGB"), kind, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff", **options)
        assert np.array_equal(shown(content), np.asarray(image))


def test_texts_that_grow_stay_out_of_memory() -> None:
    """The limit that Pillow sets to compressed texts stands as it is."""
    assert PngImagePlugin.MAX_TEXT_CHUNK <= 2**20


def plain_png(rows: bytes, packed: bytes = b"", *, colour: int = GREY, width: int = 6, height: int = 5) -> bytes:
    """A PNG of 8 bits in one piece, of filtered rows or of compressed bytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return SIGNATURE + head + chunk(b"IDAT", packed or zlib.compress(rows)) + chunk(b"IEND", b"")


def outcome(content: bytes) -> tuple[str, bytes]:
    """What decoding gives: the pixels, or the error."""
    try:
        return "pixels", shown(content).tobytes()
    except BrokenImageError as error:
        return str(error), b""


@pytest.mark.parametrize("colour", [GREY, RGB])
def test_plain_files_are_read_as_pillow_reads_them(colour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpng gives Pillow's pixels with each filter of rows, and Pillow's error where the pixels are broken."""
    length = 1 + 6 * (3 if colour == RGB else 1)
    rows = GENERATOR.integers(0, 256, (5, length), np.uint8)
    rows[:, 0] = range(5)
    raw = rows.tobytes()
    packed = zlib.compress(raw)
    broken = [
        plain_png(b"\x07" + raw[1:], colour=colour),
        plain_png(raw[:-1], colour=colour),
        plain_png(raw + b"more", colour=colour),
        plain_png(b"", packed[:-1], colour=colour),
        plain_png(b"", packed[:-1] + bytes([packed[-1] ^ 1]), colour=colour),
        plain_png(b"", packed + b"more", colour=colour),
    ]
    files = [plain_png(raw, colour=colour), *broken]
    assert all(png_files.plain(content) for content in files)
    found = [outcome(content) for content in files]
    assert found[0][0] == "pixels"
    assert "broken" in found[1][0]
    monkeypatch.setattr(png_files, "plain", lambda content: None)
    assert found == [outcome(content) for content in files]


def test_only_plain_files_are_plain() -> None:
    """Another chunk, a wrong checksum, a palette, 16 bits or a large picture are left to Pillow."""
    rows = bytes(7) * 5
    content = plain_png(rows)
    assert png_files.plain(content) is not None
    text = chunk(b"tEXt", b"a\0b")
    assert png_files.plain(content[:33] + text + content[33:]) is None
    assert png_files.plain(content[:-12] + text + content[-12:]) is None
    assert png_files.plain(content[:-13] + b"\0" + content[-12:]) is None
    assert png_files.plain(content[:24] + b"\x10" + content[25:]) is None
    assert png_files.plain(plain_png(rows, colour=PALETTE)) is None
    assert png_files.plain(plain_png(rows, width=200, height=200)) is None
    assert png_files.plain(plain_png(rows, width=0)) is None
