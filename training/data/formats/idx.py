"""Reads MNIST and Fashion-MNIST from idx files (format: http://yann.lecun.com/exdb/mnist)."""

import math
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.formats.files import expect_range, expect_size, find_all, read_bytes

IMAGES_MAGIC = 0x00000803  # unsigned bytes, three dimensions
LABELS_MAGIC = 0x00000801
STEMS = {"train": "train", "test": "t10k"}


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes.

    Args:
        path: Of the file.
        magic: Expected magic number; its last byte is the number of dimensions.

    Raises:
        ValueError: The magic number or the size is wrong, or there are no values.
    """
    content = read_bytes(path)
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise ValueError(f"{path} is truncated: an idx header takes {header} bytes, found {len(content)}")
    found, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if found != magic:
        raise ValueError(f"{path} is not the expected idx file: magic number {magic:#010x}, found {found:#010x}")
    written = "×".join(map(str, shape))
    if 0 in shape:
        raise ValueError(f"{path} has no values: its header says {written}")
    expect_size(path, len(content) - header, math.prod(shape), f"{written} values")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def load_idx(name: str, folder: Path, split: Literal["train", "test"], classes: tuple[str, ...]) -> ImageSet:
    """The images of a split, [n, 1, height, width]; both sets have 28×28.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or the files do not belong together.
    """
    stem = STEMS[split]
    images_path, labels_path = find_all(
        folder,
        [
            [f"{stem}-images-idx3-ubyte", f"{stem}-images.idx3-ubyte"],
            [f"{stem}-labels-idx1-ubyte", f"{stem}-labels.idx1-ubyte"],
        ],
    )
    images, labels = read_idx(images_path, IMAGES_MAGIC), read_idx(labels_path, LABELS_MAGIC)
    if len(images) != len(labels):
        raise ValueError(f"{images_path} has {len(images)} images, but {labels_path} {len(labels)} labels")
    expect_range(labels_path, "labels", labels, len(classes) - 1)
    return ImageSet(name, classes, torch.tensor(images).unsqueeze(1), torch.tensor(labels.astype(np.int64)))
