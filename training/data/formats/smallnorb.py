"""Reads smallNORB (LeCun, Huang, Bottou, CVPR 2004): toys of five categories, photographed by two cameras.

It reads the original binary matrix files, or a prepared ``.npz`` of the training split with images of 48×48. Both give
the same images and columns, except the azimuth: the prepared file has it relative to each object's first image.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from matcaps.model.config import SMALL_NORB_CLASSES
from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.formats.files import expect_range, find_all
from matcaps.training.data.formats.matrix import read_matrix

STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
PREPARED = "train_48.npz"
# Columns of an info file in their order, with the highest value of each. Azimuths are even, in steps of 10°.
HIGHEST = {"instance": 9, "elevation": 8, "azimuth": 34, "lighting": 5}
HIGHEST_PREPARED = {"instance": 9, "elevation": 8, "azimuth_relative": 17, "lighting": 5}  # steps of 20°
CHUNK = 512  # pairs to shrink at once; all 96×96 images take half a gigabyte

Rows = tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, NDArray[np.int64]]]


def load_smallnorb(folder: Path, split: Literal["train", "test"], *, stereo: bool) -> ImageSet:
    """Load a split in 48×48.

    With ``stereo`` an image is a pair [2, 48, 48] (left, right). Without it each camera's image is separate
    [1, 48, 48]: left and right follow each other, with equal labels, columns and numbers in the column ``pair``.

    Raises:
        FileNotFoundError: The split is not in the folder in any format.
        ValueError: A file is damaged, or the files do not belong together.
    """
    prepared = folder / PREPARED
    try:
        paths = find_all(folder, [[f"{STEMS[split]}-{part}.mat"] for part in ("dat", "cat", "info")])
    except FileNotFoundError as error:
        if split != "train":  # only the training split has a prepared file
            raise
        if not prepared.is_file():
            raise FileNotFoundError(f"{error}, and there is no {PREPARED} either") from None
        pairs, labels, info = _read_prepared(prepared)
    else:
        pairs, labels, info = _read_originals(*paths)
    images = torch.from_numpy(pairs)
    if not stereo:
        info = {name: values.repeat(2) for name, values in info.items()}
        info["pair"] = np.arange(len(pairs)).repeat(2)
        images, labels = images.flatten(0, 1).unsqueeze(1), labels.repeat(2)
    columns = {name: torch.from_numpy(values) for name, values in info.items()}
    return ImageSet("smallnorb", SMALL_NORB_CLASSES, images, torch.from_numpy(labels), columns)


def shrink(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve height and width: the mean of each 2×2 block, rounded to nearest, halves to even.

    The prepared file was rounded like this: its grey levels are even and odd in the ratio 5 to 3.

    >>> blocks = np.array([[0, 1, 1, 2, 1, 2], [0, 1, 1, 2, 2, 2]], dtype=np.uint8)
    >>> shrink(blocks)  # of 0.5, 1.5 and 1.75
    array([[0, 2, 2]], dtype=uint8)
    """
    rows = np.add(images[..., ::2, :], images[..., 1::2, :], dtype=np.uint16)
    total = rows[..., ::2] + rows[..., 1::2]
    # Adding 1 rounds three quarters up; adding 1 more for an odd integer part rounds its half up.
    mean: NDArray[np.uint8] = ((total + 1 + (total >> 2 & 1)) >> 2).astype(np.uint8)
    return mean


def _read_originals(images_path: Path, labels_path: Path, info_path: Path) -> Rows:
    images, labels, info = read_matrix(images_path), read_matrix(labels_path), read_matrix(info_path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (2, 96, 96):
        raise ValueError(f"{images_path} must hold bytes n×2×96×96, found {_describe(images)}")
    count = len(images)
    if labels.dtype != np.int32 or labels.shape != (count,):
        raise ValueError(f"{labels_path} must hold {count} integers, one per image, found {_describe(labels)}")
    if info.dtype != np.int32 or info.shape != (count, len(HIGHEST)):
        raise ValueError(f"{info_path} must hold {count}×{len(HIGHEST)} integers, found {_describe(info)}")
    expect_range(labels_path, "categories", labels, len(SMALL_NORB_CLASSES) - 1)
    for index, (name, highest) in enumerate(HIGHEST.items()):
        expect_range(info_path, name, info[:, index], highest)
    pairs = np.empty((count, 2, 48, 48), np.uint8)
    for start in range(0, count, CHUNK):
        pairs[start : start + CHUNK] = shrink(images[start : start + CHUNK].view(np.uint8))
    columns = {name: info[:, index].astype(np.int64) for index, name in enumerate(HIGHEST)}
    return pairs, labels.astype(np.int64), columns


def _read_prepared(path: Path) -> Rows:
    try:
        with path.open("rb") as file:  # numpy would leave its own file open on errors
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with content:
                arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a complete npz file: {error}") from error
    missing = {"images", "category", *HIGHEST_PREPARED} - arrays.keys()
    if missing:
        found = ", ".join(sorted(arrays)) or "none"
        raise ValueError(f"{path} lacks the arrays {', '.join(sorted(missing))}; found {found}")
    pairs = arrays["images"]
    if pairs.dtype != np.uint8 or pairs.ndim != 4 or pairs.shape[1:] != (2, 48, 48) or not len(pairs):
        raise ValueError(f"{path}: images must be bytes n×2×48×48, found {_describe(pairs)}")
    for name, highest in {"category": len(SMALL_NORB_CLASSES) - 1, **HIGHEST_PREPARED}.items():
        values = arrays[name]
        if values.dtype.kind not in "iu" or values.shape != pairs.shape[:1]:
            raise ValueError(f"{path}: {name} must hold {len(pairs)} integers, found {_describe(values)}")
        expect_range(path, name, values, highest)
    columns = {name: arrays[name].astype(np.int64) for name in HIGHEST_PREPARED}
    return pairs, arrays["category"].astype(np.int64), columns


def _describe(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {'×'.join(map(str, array.shape))}"
