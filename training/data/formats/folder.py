"""Reads a folder of images that holds one folder per class."""

import contextlib
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
MEASURED = 500  # images whose size is read, at most


def load_folder(
    folder: Path, size: int, channels: Literal[1, 3] | None = 1, *, skip_unreadable: bool = False
) -> ImageSet:
    """Load all images, [n, channels, size, size]; the classes are the folders' names in alphabetical order.

    Args:
        folder: Holds one folder of images for each class.
        size: Height and width that the images are resized to.
        channels: 1 for grey, 3 for RGB; None for RGB if any image is coloured, which is said in one line.
        skip_unreadable: Whether to go on without the files that cannot be read. Each is named on standard error.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are fewer than two classes, a class has no images, or a file is not an image.
    """
    classes = class_folders(folder)
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
    unreadable: dict[int, str] = {}
    for row, path in enumerate(tqdm(files, desc="images", unit="file", leave=False, disable=None)):
        try:
            images[row] = torch.tensor(_read(path, size, channels))
        except (ImageError, OSError) as error:
            unreadable[row] = f"{path}: {error}"
    whole = ImageSet(str(folder), tuple(classes), images, torch.tensor(labels), files=tuple(map(str, files)))
    if not unreadable:
        return whole
    _report_unreadable(folder, list(unreadable.values()), len(files), skipped=skip_unreadable)
    readable = whole.subset(torch.tensor([row for row in range(len(files)) if row not in unreadable]).long())
    if lacking := [name for label, name in enumerate(classes) if label not in readable.labels]:
        raise ValueError(f"{folder / lacking[0]} holds no image that can be read, expected at least one")
    return readable


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders of a folder of images, in alphabetical order.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is neither a known data set (smallnorb, mnist, fashion-mnist) nor a folder of class folders"
        )
    return [path.name for path in _visible(folder) if path.is_dir()]


def shortest_side(folder: Path) -> int:
    """The median of the shortest sides of a folder's images, in pixels; of many images, some are measured.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: None of the images that were tried can be read.
    """
    files = [path for name in class_folders(folder) for path in _visible(folder / name)]
    files = [path for path in files if path.suffix.lower() in SUFFIXES]
    sides = []
    for path in files[:: -(-len(files) // MEASURED)] if files else []:
        with contextlib.suppress(ImageError, OSError):  # reading them says so
            picture = open_image(path.read_bytes())
            sides.append(min(picture.width, picture.height))
    if not sides:
        raise ValueError(f"no image of {len(files)} in the class folders of {folder} can be read")
    return sorted(sides)[len(sides) // 2]


def _read(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    picture = open_image(path.read_bytes())
    return fit(decode_rgb(picture) if channels == 3 else decode(picture), size, size)


def _report_unreadable(folder: Path, faults: list[str], files: int, *, skipped: bool) -> None:
    """Name every file that cannot be read.

    Raises:
        ValueError: They are not to be skipped; the message has their number, the first ones and what to do.
    """
    if skipped or len(faults) > EXAMPLES:
        for fault in faults:
            tqdm.write(f"not read: {fault}", file=sys.stderr)
    if skipped:
        tqdm.write(f"not read: {len(faults)} of {files} files of {folder}; the others are used", file=sys.stderr)
        return
    examples = "; ".join([*faults[:EXAMPLES], *["all are named above"] * (len(faults) > EXAMPLES)])
    raise ValueError(
        f"{len(faults)} of {files} files of {folder} cannot be read as an image: {examples}; "
        "mend or remove them, or train without them by matcaps train folder --skip-unreadable"
    )


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
