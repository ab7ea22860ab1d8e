"""Pictures of one's own: a folder that holds one folder per class, named after it.

The service brings its pictures to a model's size by the same rules; it shares no code with training.
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
    """All pictures in grey, [n, 1, size, size]; classes are the folders' names in alphabetical order.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Fewer than two classes, a class without pictures, or a file that is no picture.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is neither a known data set (smallnorb, mnist, fashion-mnist) nor a folder of class folders"
        )
    classes = [path.name for path in _visible(folder) if path.is_dir()]
    if len(classes) < 2:
        raise ValueError(f"{folder} must hold at least two class folders, found {len(classes)}")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = [path for path in _visible(folder / name) if path.suffix.lower() in SUFFIXES]
        if not found:
            raise ValueError(f"{folder / name} holds no pictures ({', '.join(sorted(SUFFIXES))})")
        files += found
        labels += [label] * len(found)
    images = torch.empty(len(files), 1, size, size, dtype=torch.uint8)
    for row, path in enumerate(tqdm(files, desc="pictures", unit="file", leave=False, disable=None)):
        images[row, 0] = torch.from_numpy(_read(path, size))
    return ImageSet(str(folder), tuple(classes), images, torch.tensor(labels))


def fit(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """The centre square of a grey picture (mode L), [size, size]: shrunk by averaging areas, enlarged bilinearly.

    >>> fit(Image.new("L", (4, 2), 7), 1)
    array([[7]], dtype=uint8)
    """
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    how = Image.Resampling.BOX if side >= size else Image.Resampling.BILINEAR
    # In floats: Pillow rounds bytes after the rows and again after the columns, halves up both times.
    pixels = picture.convert("F").resize((size, size), how, box=(left, top, left + side, top + side))
    return _bytes(np.asarray(pixels))


def grey(picture: Image.Image) -> Image.Image:
    """The picture upright in 8-bit grey, transparent parts white.

    16 bits are scaled to 8; floats are taken as 0–1 if none exceeds 1, as 0–255 otherwise.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        return Image.fromarray(_bytes(np.asarray(picture) / 257.0))  # 65535 is white
    if picture.mode == "F":
        levels = np.asarray(picture)
        return Image.fromarray(_bytes(levels * (255.0 if levels.max() <= 1.0 else 1.0)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    # Only colours become luma: palettes and inks have to become colours first.
    return picture.convert("L") if picture.mode in ("1", "L") else picture.convert("RGB").convert("L")


def _bytes(levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = np.rint(levels).clip(0, 255).astype(np.uint8)
    return whole


def _read(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            return fit(grey(picture), size)
    except Exception as error:  # decoders raise whatever broken data lead to
        raise ValueError(f"{path} is not a picture that can be read: {error}") from error


def _visible(folder: Path) -> list[Path]:
    """What a folder holds, in alphabetical order, without hidden files."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
