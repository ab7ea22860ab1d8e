"""Pictures of one's own: a folder that holds one folder per class, named after it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from training.data.dataset import ImageSet

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm"}


def fit(picture: Image.Image, size: int) -> Image.Image:
    """The picture in grey, its centre square brought to size×size: shrunk by areas or enlarged bilinearly."""
    square = min(picture.size)
    filter_ = Image.Resampling.BOX if square >= size else Image.Resampling.BILINEAR
    return ImageOps.fit(ImageOps.exif_transpose(picture).convert("L"), (size, size), filter_)


def load_folder(folder: Path, size: int) -> ImageSet:
    """All pictures, [n, 1, size, size]; classes are the folders' names in alphabetical order.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Fewer than two classes, a class without pictures, or a file that is no picture.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is neither a known data set (smallnorb, mnist, fashion-mnist) nor a folder of class folders"
        )
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(f"{folder} must hold at least two class folders, found {len(classes)}")
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    for label, name in enumerate(classes):
        if all(found != label for _, found in files):
            raise ValueError(f"{folder / name} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    images = torch.empty(len(files), 1, size, size, dtype=torch.uint8)
    for row, (path, _) in enumerate(tqdm(files, desc="pictures", unit="file", leave=False)):
        try:
            with Image.open(path) as picture:
                images[row, 0] = torch.from_numpy(np.array(fit(picture, size)))
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{path} is not a picture that can be read: {error}") from error
    return ImageSet(str(folder), tuple(classes), images, torch.tensor([label for _, label in files]))
