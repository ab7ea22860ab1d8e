"""Reads a folder of images that holds one folder per class.

The service resizes images by the same rules, without sharing code with training.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from matcaps.training.data.dataset import ImageSet

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm"}


def load_folder(folder: Path, size: int) -> ImageSet:
    """Load all images in grey, [n, 1, size, size]; the classes are the folders' names in alphabetical order.

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
    for label, name in enumerate(classes):
        found = [path for path in _visible(folder / name) if path.suffix.lower() in SUFFIXES]
        if not found:
            raise ValueError(f"{folder / name} holds no images ({', '.join(sorted(SUFFIXES))})")
        files += found
        labels += [label] * len(found)
    images = torch.empty(len(files), 1, size, size, dtype=torch.uint8)
    for row, path in enumerate(tqdm(files, desc="images", unit="file", leave=False, disable=None)):
        images[row, 0] = torch.from_numpy(_read(path, size))
    return ImageSet(str(folder), tuple(classes), images, torch.tensor(labels))


def fit(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The centre square of a grey image (mode L), [size, size]: shrunk by averaging areas, enlarged bilinearly.

    >>> fit(Image.new("L", (4, 2), 7), 1)
    array([[7]], dtype=uint8)
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    how = Image.Resampling.BOX if side >= size else Image.Resampling.BILINEAR
    # In floats, because with bytes Pillow rounds twice, after the rows and after the columns.
    pixels = image.convert("F").resize((size, size), how, box=(left, top, left + side, top + side))
    return _bytes(np.asarray(pixels))


def grey(image: Image.Image) -> Image.Image:
    """The image upright in 8-bit grey, transparent parts white.

    16 bits are scaled to 8. Floats have the range 0–1 if none exceeds 1, otherwise 0–255.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray(_bytes(np.asarray(image) / 257.0))  # 65535 is white
    if image.mode == "F":
        levels = np.asarray(image)
        return Image.fromarray(_bytes(levels * (255.0 if levels.max() <= 1.0 else 1.0)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    # Only RGB converts to luma, so palettes and CMYK are converted to RGB first.
    return image.convert("L") if image.mode in ("1", "L") else image.convert("RGB").convert("L")


def _bytes(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = np.rint(levels).clip(0, 255).astype(np.uint8)
    return whole


def _read(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return fit(grey(image), size)
    except Exception as error:  # decoders raise many classes on broken data
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _visible(folder: Path) -> list[Path]:
    """The entries of a folder in alphabetical order, without hidden ones."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
