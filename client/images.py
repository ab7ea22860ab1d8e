"""Pictures as people have them, to the encoded bytes that are sent."""

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

COLOUR_TYPES = {1: 0, 3: 2}  # of PNG, by channels


class BinaryFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes: ...


Image: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | NDArray[np.uint8]
"""A path, the bytes of an encoded picture, an open file, or pixels [row, column] or [row, column, 3]."""
Pair: TypeAlias = tuple[Image, Image]
"""Left and right, for a stereo model."""
Images: TypeAlias = Image | Pair | Iterable[Image | Pair]
"""One or many pictures, or one or many pairs."""


def contents_of(images: Images) -> tuple[list[bytes], int | None]:
    """The encoded pictures in order, and the number of pairs; None for the number if they are no pairs.

    Raises:
        OSError: A file cannot be read.
        TypeError, ValueError: There is no picture, pairs and pictures are mixed, or something else is among them.
    """
    items: list[Any] = list(images) if isinstance(images, Iterable) and not _is_one(images) else [images]
    if not items:
        raise ValueError("expected at least one image, got none")
    pairs = [item for item in items if isinstance(item, tuple)]
    if not pairs:
        return [encoded(item) for item in items], None
    if len(pairs) < len(items):
        raise ValueError(f"expected images or pairs, got {len(pairs)} pair(s) among {len(items)}")
    if wrong := [len(pair) for pair in pairs if len(pair) != 2]:
        raise ValueError(f"expected pairs (left, right), got a tuple of {wrong[0]}; give many images as a list")
    return [encoded(image) for pair in pairs for image in pair], len(pairs)


def encoded(image: Image) -> bytes:
    """The bytes of a picture that the service decodes.

    Raises:
        OSError: The file cannot be read.
        TypeError, ValueError: It is no picture.
    """
    if isinstance(image, np.ndarray):
        return png(image)
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if not hasattr(image, "read"):
        raise TypeError(f"an image must be a path, bytes, a binary file or a uint8 array, got {type(image).__name__}")
    content: Any = image.read()
    if not isinstance(content, bytes):
        raise TypeError(f"an image's file must be open in binary mode, got {type(content).__name__} from read()")
    return content


def png(pixels: NDArray[Any]) -> bytes:
    """Pixels as a PNG, which loses nothing.

    Raises:
        ValueError: They are not uint8 [row, column] or [row, column, 3].
    """
    shape = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] not in COLOUR_TYPES or 0 in shape:
        raise ValueError(
            f"an array must be uint8 [row, column] or [row, column, 3], got {pixels.dtype} {list(pixels.shape)}; "
            f"give many images as a list, and a stereo pair as a tuple of two"
        )
    rows, columns, channels = shape
    lines = np.zeros((rows, 1 + columns * channels), np.uint8)  # the first byte of a line: 0, no filter
    lines[:, 1:] = pixels.reshape(rows, -1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, COLOUR_TYPES[channels], 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 1)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _is_one(value: object) -> bool:
    """Whether an iterable value is a picture or a pair by itself."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, tuple)
    return isinstance(value, kinds) or hasattr(value, "read")
