"""TIFF by its tags: photometric interpretation, depth, planes, alpha, colour map."""

import io
import struct
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.decode import decode, open_image
from matcaps.images.errors import BrokenImageError, ImageError, LargeImageError

SCENE = np.random.default_rng(7).integers(0, 256, (40, 36)).astype(np.uint8)
SCENE[0, :2] = 0, 255
COLOURS = np.random.default_rng(8).integers(0, 256, (40, 36, 3)).astype(np.uint8)
LUMA = np.asarray(Image.fromarray(COLOURS).convert("L"))
OPACITY = np.random.default_rng(9).choice(np.array([0, 255], np.uint8), SCENE.shape)
PACKINGS: list[dict[str, Any]] = [
    {},
    {"compression": "zlib"},
    {"compression": "lzw", "rowsperstrip": 7},
    {"compression": "packbits"},
    {"compression": "zlib", "predictor": True},
    {"tile": (16, 32)},
    {"tile": (16, 32), "compression": "zlib"},
]


def tiff(pixels: NDArray[np.generic], **options: Any) -> bytes:
    """A TIFF file."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def shown(content: bytes) -> NDArray[np.uint8]:
    """The decoded grey levels."""
    return np.asarray(decode(open_image(content, max_pixels=10_000)))


def wide(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """8 bits as 16."""
    return pixels.astype(np.uint16) * 257


def with_tag(content: bytes, code: int, value: int, *, kind: int = 3, count: int = 1) -> bytes:
    """A little-endian TIFF with another value of a tag whose value stands in the directory."""
    [start] = struct.unpack_from("<I", content, 4)
    [number] = struct.unpack_from("<H", content, start)
    changed = bytearray(content)
    for place in range(start + 2, start + 2 + 12 * number, 12):
        if struct.unpack_from("<H", content, place) == (code,):
            struct.pack_into("<HII", changed, place + 2, kind, count, value)
            return bytes(changed)
    raise AssertionError(f"no tag {code}")


LEVELS = {
    "8 bits": SCENE,
    "16 bits": wide(SCENE),
    "32 bits of a 16-bit range": wide(SCENE).astype(np.uint32),
    "32 bits": SCENE.astype(np.uint32) * 0x01010101,
    "floats to 1": SCENE.astype(np.float32) / np.float32(255),
    "floats to 255": SCENE.astype(np.float32),
    "floats to 65535": wide(SCENE).astype(np.float32),
    "doubles": SCENE / 255,
    "signed 32 bits": wide(SCENE).astype(np.int32),
}


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_white_is_zero_or_black_is_zero(levels: NDArray[np.generic], byteorder: str, packing: dict[str, Any]) -> None:
    """Grey levels of every type come out as they are, and inverted if 0 is white."""
    black = tiff(levels, photometric="minisblack", byteorder=byteorder, **packing)
    white = tiff(levels, photometric="miniswhite", byteorder=byteorder, **packing)
    assert np.array_equal(shown(black), SCENE)
    assert np.array_equal(shown(white), 255 - SCENE)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_signed_integers_below_zero_are_black(photometric: str) -> None:
    """Signed integers have the range of unsigned ones of their depth; what is below 0 is black."""
    for kind, unit in ((np.int8, 1), (np.int16, 257)):
        levels = np.tile(np.array([-unit, 0, 100 * unit, 127 * unit], kind), (4, 1))
        expected = np.array([0, 0, 100, 127])
        content = tiff(levels, photometric=photometric)
        assert (shown(content) == (expected if photometric == "minisblack" else 255 - expected)).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("width", [33, 36])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15])
def test_packed_samples_have_the_range_of_their_bits(
    bits: int, width: int, photometric: str, compression: str | None
) -> None:
    """The highest level of 2 to 15 bits is white, for packed samples."""
    highest = 2**bits - 1
    levels = np.random.default_rng(bits).integers(0, highest + 1, (9, width))
    levels[0, :2] = 0, highest
    expected = np.rint(levels * 255.0 / highest)
    content = _packed(levels, bits, compression)
    if photometric == "miniswhite":
        content, expected = with_tag(content, 262, 0), 255 - expected
    assert np.array_equal(shown(content), expected)


def _packed(levels: NDArray[np.integer], bits: int, compression: str | None) -> bytes:
    """A TIFF whose samples are packed, each row from a new byte on."""
    ones = (levels[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(ones.reshape(len(levels), -1).astype(np.uint8), axis=1)
    content = tiff(rows, photometric="minisblack", compression=compression)
    return with_tag(with_tag(content, 256, levels.shape[1], kind=4), 258, bits)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_samples_in_words_have_the_range_of_their_bits(bits: int, byteorder: str, compression: str | None) -> None:
    """Some programs give each sample of 10 to 14 bits a word of its own, and fewer bits a byte."""
    highest = 2**bits - 1
    levels = np.random.default_rng(bits).integers(0, highest + 1, (9, 36))
    words = levels.astype(np.uint8 if bits < 8 else np.uint16)
    content = tiff(words, photometric="minisblack", byteorder=byteorder, compression=compression)
    whole = struct.pack(byteorder + "HHIH", 258, 3, 1, 8 * words.itemsize)
    assert content.count(whole) == 1
    content = content.replace(whole, struct.pack(byteorder + "HHIH", 258, 3, 1, bits))
    assert np.array_equal(shown(content), np.rint(levels * 255.0 / highest))


@pytest.mark.parametrize("packing", [*PACKINGS, {"compression": "zstd"}, {"compression": "lzma"}], ids=str)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("depth", [8, 16, 32])
def test_colours_in_planes_and_side_by_side(depth: int, planar: str, packing: dict[str, Any]) -> None:
    """RGB of 8 and 16 bits and of floats has the same luma in planes and side by side, with alpha and without."""
    colours: NDArray[np.generic] = COLOURS
    opacity: NDArray[np.generic] = OPACITY
    if depth == 16:
        colours, opacity = wide(COLOURS), wide(OPACITY)
    elif depth == 32:
        colours, opacity = COLOURS.astype(np.float32) / np.float32(255), OPACITY.astype(np.float32) / np.float32(255)
    samples = np.dstack([colours, opacity])
    if planar == "separate":
        colours, samples = np.moveaxis(colours, 2, 0), np.moveaxis(samples, 2, 0)
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar, **packing}
    assert np.array_equal(shown(tiff(colours, **options)), LUMA)
    masked = np.where(OPACITY == 255, LUMA, 255)
    assert np.array_equal(shown(tiff(samples, extrasamples=["unassalpha"], **options)), masked)
    assert np.array_equal(shown(tiff(samples, extrasamples=["unspecified"], **options)), LUMA)


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pixels", [SCENE[..., None], COLOURS], ids=["grey", "RGB"])
def test_alpha_is_over_white(pixels: NDArray[np.uint8], depth: int, planar: str, packing: dict[str, Any]) -> None:
    """Associated and unassociated alpha give the same picture over white, half-transparent parts too."""
    opacity = np.random.default_rng(5).integers(0, 256, SCENE.shape).astype(np.uint8)[..., None]
    share = opacity / 255.0
    premultiplied = np.rint(pixels * share).astype(np.uint8)
    white = np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)
    expected = shown(tiff(np.squeeze(white)))
    for colours, kind, tolerance in ((premultiplied, "assocalpha", 1), (pixels, "unassalpha", 1)):
        samples: NDArray[np.generic] = np.dstack([colours, opacity])
        samples = wide(samples.astype(np.uint8)) if depth == 16 else samples
        if planar == "separate":
            samples = np.moveaxis(samples, 2, 0)
        photometric = "minisblack" if pixels.shape[2] == 1 else "rgb"
        content = tiff(samples, photometric=photometric, planarconfig=planar, extrasamples=[kind], **packing)
        assert np.abs(shown(content).astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("unit", [1, 256, 257])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_map_has_values_of_8_or_16_bits(unit: int, depth: int) -> None:
    """A colour map is read as 16 bits, and as 8 if no value exceeds 255."""
    table = np.random.default_rng(3).integers(0, 256, (3, 2**depth)).astype(np.uint16)
    table[:, 0] = 255
    indices = np.random.default_rng(4).integers(0, 2**depth, (9, 11)).astype(np.uint8 if depth == 8 else np.uint16)
    content = tiff(indices, photometric="palette", colormap=table * np.uint16(unit))
    assert np.array_equal(shown(content), shown(tiff(table.T[indices].astype(np.uint8), photometric="rgb")))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_ink_is_dark(depth: int, planar: str) -> None:
    """CMYK without ink is white, with black ink black, in 8 and 16 bits."""
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:, 4:, 3] = 255
    samples: NDArray[np.generic] = ink if depth == 8 else wide(ink)
    if planar == "separate":
        samples = np.moveaxis(samples, 2, 0)
    content = tiff(samples, photometric="separated", planarconfig=planar)
    assert (shown(content) == [255] * 4 + [0] * 4).all()


@pytest.mark.parametrize(
    ("bigtiff", "byteorder", "levels"),
    list(product([False, True], "<>", [SCENE, wide(SCENE), COLOURS])),
    ids=lambda value: str(value.shape) if isinstance(value, np.ndarray) else str(value),
)
def test_big_tiff_is_read_in_both_byte_orders(bigtiff: bool, byteorder: str, levels: NDArray[np.generic]) -> None:
    """TIFF and BigTIFF are read in both byte orders."""
    photometric = "rgb" if levels.ndim == 3 else "minisblack"
    content = tiff(levels, bigtiff=bigtiff, byteorder=byteorder, photometric=photometric)
    assert np.array_equal(shown(content), LUMA if levels.ndim == 3 else SCENE)


def test_half_floats_are_read() -> None:
    """Floats of 16 bits are read as those of 32."""
    assert np.array_equal(shown(tiff(SCENE.astype(np.float16))), SCENE)


def test_the_orientation_is_applied_to_every_kind() -> None:
    """A page of 12 bits is turned upright as one of 8 bits."""
    for orientation in range(1, 9):
        tag = [(274, 3, 1, orientation, True)]
        plain = shown(tiff(SCENE, extratags=tag))
        deep = shown(tiff(wide(SCENE), photometric="miniswhite", extratags=tag))
        assert np.array_equal(deep, 255 - plain)
        assert (orientation == 1) == np.array_equal(plain, SCENE)


def test_the_first_page_is_used() -> None:
    """The first page of several is decoded, of every kind."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(wide(SCENE), photometric="miniswhite", metadata=None)
        writer.write(np.zeros((5, 5), np.uint8), metadata=None)
    assert np.array_equal(shown(file.getvalue()), 255 - SCENE)


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_truncated_page_is_refused(share: float, packing: dict[str, Any]) -> None:
    """A page whose pixels are not all there is refused, although tifffile would fill them."""
    content = tiff(wide(COLOURS), photometric="rgb", **packing)
    with pytest.raises(BrokenImageError):
        shown(content[: int(share * len(content))])


def test_a_missing_strip_is_refused() -> None:
    """A strip that has no bytes is refused, and fewer strips than the page needs."""
    content = tiff(wide(SCENE), rowsperstrip=40)
    with pytest.raises(BrokenImageError, match="strips or tiles"):
        shown(with_tag(content, 279, 0))
    with pytest.raises(BrokenImageError, match="40 strips or tiles are needed, 1 are there"):
        shown(with_tag(with_tag(content, 278, 1), 262, 0))


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([(322, 2**20, 4), (323, 2**20, 4)], "bytes per tile"),
        ([(322, 2**31 - 16, 4)], "bytes per tile"),
        ([(277, 65_535, 3)], "bytes per image"),
        ([(256, 2**31, 4), (257, 2**31, 4)], "pixels per image"),
    ],
    ids=["tile", "tile width", "samples", "size"],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_a_bomb_of_tags_is_refused_by_its_header(depth: int, tags: list[tuple[int, int, int]], message: str) -> None:
    """Huge tiles, samples and sizes are refused before anything of that size is allocated."""
    content = tiff(SCENE if depth == 8 else wide(SCENE), tile=(48, 48), compression="zlib", photometric="minisblack")
    for code, value, kind in tags:
        content = with_tag(content, code, value, kind=kind)
    with pytest.raises(LargeImageError, match=message):
        open_image(content, max_pixels=10_000)


def test_too_many_strips_are_refused() -> None:
    """A page of a million strips is refused, which would take a minute to read."""
    content = with_tag(tiff(wide(SCENE), rowsperstrip=40), 278, 1)
    content = with_tag(with_tag(content, 257, 10**6, kind=4), 256, 1, kind=4)
    with pytest.raises(BrokenImageError, match="at most 131072 strips or tiles, got 1000000"):
        decode(open_image(content, max_pixels=2_000_000))


@pytest.mark.parametrize(
    ("tag", "value"), [(258, 0), (258, 65), (262, 32_844), (262, 9_999), (259, 9_999), (339, 6), (284, 7), (277, 0)]
)
def test_unknown_tags_are_refused(tag: int, value: int) -> None:
    """A depth, photometric interpretation, compression or sample format that nobody reads is refused."""
    content = tiff(COLOURS.astype(np.float32), photometric="rgb", planarconfig="contig")  # has all these tags
    assert np.array_equal(shown(content), LUMA)
    with pytest.raises(ImageError):
        shown(with_tag(content, tag, value))


def test_a_short_colour_map_is_refused() -> None:
    """An index beyond the colour map is refused."""
    table = np.zeros((3, 256), np.uint16)
    content = tiff(SCENE, photometric="palette", colormap=table)
    with pytest.raises(BrokenImageError):
        shown(with_tag(content, 320, struct.unpack("<I", content[4:8])[0] + 2, count=12))
