"""smallNORB (LeCun, Huang, Bottou, CVPR 2004): toys of five categories, photographed by two cameras.

It is read from the original binary matrix files, or from the prepared form of the training split: an ``.npz``
with the pictures shrunk to 48×48, which is what training works on. Both come out alike.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.config import SMALL_NORB_CLASSES
from training.data.dataset import ImageSet
from training.data.files import expect_size, find, read_bytes

STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
MATRIX_TYPES: dict[int, np.dtype[np.uint8] | np.dtype[np.int32]] = {
    0x1E3D4C55: np.dtype(np.uint8),
    0x1E3D4C54: np.dtype("<i4"),
}
INFO_COLUMNS = ("instance", "elevation", "azimuth", "lighting")
PREPARED = "train_48.npz"


def read_matrix(path: Path) -> NDArray[np.uint8] | NDArray[np.int32]:
    """The array of a binary matrix file: magic number, dimensions (at least three are written), values.

    Raises:
        ValueError: The magic number or the size is not what it should be.
    """
    content = read_bytes(path)
    if len(content) < 8:
        raise ValueError(f"{path} is cut short: a matrix header takes at least 20 bytes, found {len(content)}")
    magic, dimensions = struct.unpack("<II", content[:8])
    if magic not in MATRIX_TYPES:
        known = " or ".join(f"{value:#010x}" for value in MATRIX_TYPES)
        raise ValueError(f"{path} is no matrix of bytes or integers: magic number {known}, found {magic:#010x}")
    if not 1 <= dimensions <= 8:
        raise ValueError(f"{path} says that it has {dimensions} dimensions; 1 to 8 can be")
    header = 8 + 4 * max(3, dimensions)
    if len(content) < header:
        raise ValueError(f"{path} is cut short: its header takes {header} bytes, found {len(content)}")
    shape = struct.unpack(f"<{dimensions}I", content[8 : 8 + 4 * dimensions])
    dtype = MATRIX_TYPES[magic]
    size = int(np.prod(shape, dtype=np.uint64)) * dtype.itemsize
    expect_size(path, len(content) - header, size, f"{'×'.join(map(str, shape))} values")
    return np.frombuffer(content, dtype, offset=header).reshape(shape)


def shrink(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half the height and width: the mean of each 2×2 block, rounded to the nearest, halves up."""
    blocks = pictures.astype(np.uint16)
    total = blocks[..., ::2, ::2] + blocks[..., 1::2, ::2] + blocks[..., ::2, 1::2] + blocks[..., 1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def load_smallnorb(folder: Path, split: Literal["train", "test"], *, stereo: bool) -> ImageSet | None:
    """A split in 48×48, or None where no form of it is in the folder.

    With ``stereo`` an image is a pair [2, 48, 48] (left, right); without it, each camera's picture is an image
    of its own [1, 48, 48], and the two of a pair stand next to each other with the same label and info.

    Raises:
        ValueError: A file is damaged, or the files do not belong together.
    """
    paths = [find(folder, [f"{STEMS[split]}-{part}.mat"]) for part in ("dat", "cat", "info")]
    if all(path is not None for path in paths):
        pairs, labels, info = _read_originals(*(path for path in paths if path is not None))
    elif split == "train" and (folder / PREPARED).is_file():
        pairs, labels, info = _read_prepared(folder / PREPARED)
    else:
        return None
    cameras = 2 if stereo else 1
    repeats = pairs.shape[1] // cameras
    images = torch.from_numpy(pairs).reshape(-1, cameras, *pairs.shape[2:])
    columns = {name: torch.from_numpy(values).repeat_interleave(repeats) for name, values in info.items()}
    return ImageSet(
        "smallnorb", SMALL_NORB_CLASSES, images, torch.from_numpy(labels).repeat_interleave(repeats), columns
    )


Rows = tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, NDArray[np.int64]]]


def _read_originals(pictures_path: Path, labels_path: Path, info_path: Path) -> Rows:
    pictures, labels, info = read_matrix(pictures_path), read_matrix(labels_path), read_matrix(info_path)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (2, 96, 96):
        raise ValueError(
            f"{pictures_path} must hold bytes n×2×96×96, found {pictures.dtype} {'×'.join(map(str, pictures.shape))}"
        )
    if labels.shape != pictures.shape[:1]:
        raise ValueError(f"{labels_path} must hold {len(pictures)} labels, found {list(labels.shape)}")
    if info.shape != (len(pictures), len(INFO_COLUMNS)):
        raise ValueError(f"{info_path} must hold {len(pictures)}×{len(INFO_COLUMNS)} values, found {list(info.shape)}")
    columns = {name: info[:, index].astype(np.int64) for index, name in enumerate(INFO_COLUMNS)}
    return shrink(pictures.astype(np.uint8, copy=False)), labels.astype(np.int64), columns


def _read_prepared(path: Path) -> Rows:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole npz file: {error}") from error
    # The azimuth is known only relative to each object's first picture: other name, other meaning.
    columns = ("instance", "elevation", "azimuth_relative", "lighting")
    missing = {"images", "category", *columns} - arrays.keys()
    if missing:
        raise ValueError(f"{path} lacks the arrays {', '.join(sorted(missing))}; found {', '.join(sorted(arrays))}")
    pairs = arrays["images"]
    if pairs.dtype != np.uint8 or pairs.ndim != 4 or pairs.shape[1:] != (2, 48, 48):
        raise ValueError(f"{path}: images must be uint8 n×2×48×48, found {pairs.dtype} {list(pairs.shape)}")
    for name in ("category", *columns):
        if arrays[name].shape != pairs.shape[:1]:
            raise ValueError(f"{path}: {len(pairs)} images, but {name} has shape {list(arrays[name].shape)}")
    return (
        pairs,
        arrays["category"].astype(np.int64),
        {name: arrays[name].astype(np.int64) for name in columns},
    )
