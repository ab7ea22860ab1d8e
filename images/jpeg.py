"""JPEG files that Pillow refuses: more than 8 bits, lossless, and those without an end marker."""

import io

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from matcaps.images.levels import eight_bits

END = b"\xff\xd9"
# Bytes that change the pixels wherever some are missing. A restart marker that is one or two ahead of the expected one
# would end the data, so there are two orders.
NOISES = [
    b"\x5a" * 64 + b"".join(bytes([0xFF, 0xD0 + (first + number) % 8]) + b"\x5a" * 64 for number in range(8))
    for first in (0, 4)
]
LOSSLESS = 0xC3
NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables, whose markers stand among those of frames
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))


def frame_of(content: bytes) -> int | None:
    """The position of the frame header, which holds size and precision."""
    place = 2
    while place + 5 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES:
            return place
        if marker == 0xFF:  # a filling byte
            place += 1
        elif marker in WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return None


def is_deep(content: bytes, frame: int) -> bool:
    """Whether the frame is lossless or has more than 8 bits."""
    return content[frame + 1] == LOSSLESS or content[frame + 4] != 8


def open_deep(content: bytes, frame: int) -> Image.Image:
    """Size and metadata, which Pillow reads as soon as the header says 8 bits. The pixels are not to be loaded."""
    head = bytearray(content)
    head[frame + 4] = 8
    if head[frame + 1] == LOSSLESS:
        head[frame + 1] = 0xC0
    return Image.open(io.BytesIO(head), formats=("JPEG",))


def read_deep(content: bytes, frame: int) -> Image.Image:
    """The pixels of a frame of more than 8 bits, in mode L or RGB."""
    if content.rfind(END) < frame:
        raise ValueError("image file is truncated")  # libjpeg would fill the rest with grey
    pixels: NDArray[np.generic] = imagecodecs.jpeg8_decode(content)
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise ValueError(f"{pixels.shape[2]} colours of {content[frame + 4]} bits")
    return Image.fromarray(eight_bits(pixels, 2.0 ** content[frame + 4] - 1.0))


def read_without_end(content: bytes) -> Image.Image | None:
    """The pixels of a file that lacks its end marker alone, or None if pixels are missing too.

    libjpeg fills in missing pixels silently. Bytes after complete pixels change nothing. Where pixels are missing,
    these bytes are decoded as pixels. So different endings show whether any are missing.
    """
    content = content.removesuffix(END[:1])
    image, *others = (Image.open(io.BytesIO(content + ending + END), formats=("JPEG",)) for ending in (b"", *NOISES))
    complete = all(ImageChops.difference(image, other).getbbox() is None for other in others)
    return image if complete else None
