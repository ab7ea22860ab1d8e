"""Reads a folder of images that holds one folder per class."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from matcaps.images.decode import decode, decode_rgb, open_image
from matcaps.images.errors import ImageError
from matcaps.images.fit import fit
from matcaps.images.formats import SUFFIXES
from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.formats.colour import decide_channels

EXAMPLES = 3  # entries that are named of those passed over


def load_folder(folder: Path, size: int, channels: Literal[1, 3] | None = 1) -> ImageSet:
    """Load all images, [n, channels, size, size]; the classes are the folders' names in alphabetical order.

    Args:
        folder: Holds one folder per class.
        size: Height and width that the images are resized to.
        channels: 1 for grey, 3 for RGB; None for RGB if any image is coloured, which is said in one line.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are fewer than two classes, a class has no images, or a file is not an image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is neither a known data set (smallnorb, mnist, fashion-mnist) nor a folder of class folders"
        )
    classes = [path.name for path in _visible(folder) if path.is_dir()]
    if len(classes) < 2:
        raise ValueError(f"{folder} must hold at least two class folders, got {len(classes)}")
    files: list[Path] = []
    labels: list[int] = []
    passed_over: list[Path] = []
    for label, name in enumerate(classes):
        entries = _visible(folder / name)
        found = [path for path in entries if path.suffix.lower() in SUFFIXES]
        passed_over += [path for path in entries if path.suffix.lower() not in SUFFIXES]
        if not found:
            raise ValueError(f"{folder / name} holds no images ({', '.join(sorted(SUFFIXES))})")
        files += found
        labels += [label] * len(found)
    _report_passed_over(passed_over)
    if channels is None:
        channels = decide_channels(files, lambda path: _read(path, size, 3))
    images = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    for row, path in enumerate(tqdm(files, desc="images", unit="file", leave=False, disable=None)):
        images[row] = torch.tensor(_read(path, size, channels))
    return ImageSet(str(folder), tuple(classes), images, torch.tensor(labels))


def _read(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    try:
        picture = open_image(path.read_bytes())
        return fit(decode_rgb(picture) if channels == 3 else decode(picture), size, size)
    except (ImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _report_passed_over(entries: list[Path]) -> None:
    """Say which entries of the class folders are not read: files of other types, and subfolders."""
    files = [path for path in entries if not path.is_dir()]
    folders = [path for path in entries if path.is_dir()]
    inside = sum(path.suffix.lower() in SUFFIXES for folder in folders for path in folder.rglob("*"))
    for text, paths in (
        (f"{len(files)} files of other types", files),
        (f"{len(folders)} subfolders with {inside} images", folders),
    ):
        if paths:
            examples = [str(path) for path in paths[:EXAMPLES]] + ["…"] * (len(paths) > EXAMPLES)
            tqdm.write(f"not read: {text}: {', '.join(examples)}", file=sys.stderr)


def _visible(folder: Path) -> list[Path]:
    """The entries of a folder in alphabetical order, without hidden ones."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
