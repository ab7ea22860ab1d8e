"""PNG by libpng: plain files, because it is quicker, and what Pillow does not keep.

Pillow loses 16 bits of a colour, and the transparent level of 2, 4 and 16 bits.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.levels import eight_bits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHOWN = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"IDAT", b"IEND")  # the chunks that change the pixels
HEAD_END = 33  # where the first chunk begins after the header
END = b"\0\0\0\0IEND\xaeB`\x82"
MOST_PIXELS = 128 * 128  # of a plain file: above, Pillow takes hardly longer
PLAIN = {b"\x08\0\0\0\0": "L", b"\x08\x02\0\0\0": "RGB"}  # 8 bits, grey or colours, not interlaced
LONGEST_NAME = 79  # of a profile
LARGEST_PROFILE = 2**20  # bytes


class Plain(NamedTuple):
    """A small PNG of 8 bits that has only a header, pixels in one chunk, and an end."""

    mode: str
    width: int
    height: int
    packed: bytes
    """The compressed pixels."""


def plain(content: bytes) -> Plain | None:
    """What the file is if it is plain and its checksums are right; otherwise None. Most small pictures are plain."""
    mode = PLAIN.get(content[24:29])
    end = HEAD_END + 12 + int.from_bytes(content[HEAD_END : HEAD_END + 4])
    if mode is None or content[12:16] != b"IHDR" or content[HEAD_END + 4 : HEAD_END + 8] != b"IDAT":
        return None
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if not 0 < width * height <= MOST_PIXELS or content[end:] != END:
        return None
    return Plain(mode, width, height, content[41 : end - 4]) if all(right for _, _, right in _chunks(content)) else None


def read_plain(content: bytes, of: Plain) -> Image.Image:
    """The pixels of a plain file, without the Python code that Pillow runs around them.

    Raises:
        ValueError: The compressed pixels are too few, too many, or broken.
    """
    size = of.height * (1 + of.width * len(of.mode))  # each row begins with the number of its filter
    unpacking = zlib.decompressobj()
    try:
        # libpng would print a warning of what it leaves out.
        rows = unpacking.decompress(of.packed, size + 1)
        if len(rows) != size or not unpacking.eof or unpacking.unused_data:
            raise ValueError(f"expected {size} bytes of pixels, got {len(rows)}")
        pixels = imagecodecs.png_decode(content)
    except (zlib.error, imagecodecs.PngError) as error:
        raise ValueError(str(error)) from None
    return Image.frombuffer(of.mode, (of.width, of.height), pixels, "raw", of.mode, 0, 1)


def needs_libpng(content: bytes, image: Image.Image) -> bool:
    """Whether Pillow would lose bits, or compare a transparent level of the file with a scaled one."""
    depth = content[24]
    return depth == 16 or (depth in (2, 4) and image.mode == "L" and "transparency" in image.info)


def read_with_libpng(content: bytes, size: tuple[int, int]) -> Image.Image:
    """The pixels in mode L, LA, RGB or RGBA."""
    # libpng allocates what the first header says; the size was checked as Pillow read it.
    if (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) != size:
        raise ValueError("the file has two headers")
    pixels: NDArray[np.generic] = imagecodecs.png_decode(content)
    return Image.fromarray(eight_bits(pixels, 255.0 if pixels.dtype == np.uint8 else 65535.0))


def without_extras(content: bytes) -> bytes:
    """The file without texts, times and other chunks that change no pixel, and without a broken tRNS, eXIf or iCCP.

    A mistake in such a chunk is no reason to refuse a picture. libpng skips it too.
    """
    kept = [chunk for name, chunk, right in _chunks(content) if name in SHOWN and (right or name[0] & 0x20 == 0)]
    return SIGNATURE + b"".join(chunk for chunk in kept if chunk[4:8] != b"iCCP" or _is_profile(chunk[8:-4]))


def _is_profile(content: bytes) -> bool:
    """Whether an iCCP chunk is a name, the method 0, and compressed bytes that end."""
    name, _, rest = content.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(rest[1:], LARGEST_PROFILE)
    except zlib.error:
        return False
    return 0 < len(name) <= LONGEST_NAME and rest[:1] == b"\0" and unpacking.eof


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Each chunk's name, its bytes, and whether its checksum is right."""
    start = len(SIGNATURE)
    while start + 8 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4])
        chunk = content[start:end]
        yield chunk[4:8], chunk, zlib.crc32(chunk[4:-4]).to_bytes(4) == chunk[-4:]
        start = end
