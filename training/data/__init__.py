"""The data sets, by name: smallnorb, mnist, fashion-mnist, or the path of a folder of class-named folders."""

from pathlib import Path
from typing import Literal

from matcaps.model.config import DIGIT_CLASSES
from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.formats.folder import load_folder
from matcaps.training.data.formats.idx import load_idx
from matcaps.training.data.formats.smallnorb import load_smallnorb
from matcaps.training.data.hold_out import hold_out, sample, select

__all__ = ["FASHION_CLASSES", "KNOWN", "ImageSet", "hold_out", "load", "sample", "select"]

FASHION_CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
IDX_CLASSES = {"mnist": DIGIT_CLASSES, "fashion-mnist": FASHION_CLASSES}
KNOWN = ("smallnorb", *IDX_CLASSES)  # whatever else is named is the path of a folder of pictures


def load(
    name: str,
    root: Path,
    split: Literal["train", "test"] = "train",
    *,
    stereo: bool = False,
    size: int = 48,
) -> ImageSet:
    """A split of a data set that stands under ``root``, in whichever of its forms is there.

    Args:
        name: A known name, or the path of a folder with one folder of images per class.
        root: Holds a folder for each known name; not looked at for a path.
        split: The official test split is for the final figures alone.
        stereo: smallNORB in pairs of two channels, instead of each camera's picture by itself.
        size: Height and width that the pictures of a folder are brought to.

    Raises:
        FileNotFoundError: No form of the data set is there; it says what was looked for.
        ValueError: A file is damaged, files do not belong together, or a folder is asked for a test split.
    """
    if name not in KNOWN:
        if split == "test":
            raise ValueError(f"{name} has no official test split; load the folder of test pictures by its path")
        return load_folder(Path(name), size)
    folder = root / name
    try:
        if name == "smallnorb":
            return load_smallnorb(folder, split, stereo=stereo)
        return load_idx(name, folder, split, IDX_CLASSES[name])
    except FileNotFoundError as error:
        command = f"matcaps download {name} --to {root}"
        raise FileNotFoundError(f"no {split} split of {name}: {error}; to fetch it: {command}") from None
