"""The data sets, by name: smallnorb, mnist, fashion-mnist, or the path of a folder with one folder per class."""

from pathlib import Path
from typing import Literal

from matcaps.model.config import DIGIT_CLASSES
from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.formats.folder import load_folder
from matcaps.training.data.formats.idx import load_idx
from matcaps.training.data.formats.smallnorb import load_smallnorb
from matcaps.training.data.subsets import hold_out, name_instances, sample, select

__all__ = ["FASHION_CLASSES", "KNOWN", "ImageSet", "hold_out", "load", "name_instances", "sample", "select"]

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
KNOWN = ("smallnorb", *IDX_CLASSES)  # any other name is the path of a folder of images


def load(
    name: str,
    root: Path,
    split: Literal["train", "test"] = "train",
    *,
    stereo: bool = False,
    size: int = 48,
    channels: Literal[1, 3] | None = 1,
    skip_unreadable: bool = False,
) -> ImageSet:
    """Load a split of a data set from ``root``, in whichever of its formats is there.

    Args:
        name: A known name, or the path of a folder with one folder of images per class.
        root: Holds one folder for each known name; not used for a path.
        split: The official test split is for final figures only.
        stereo: smallNORB as pairs of two channels, instead of each camera's image by itself.
        size: Height and width that the images of a folder are resized to.
        channels: Channels of the images of a folder: 1 (grey), 3 (RGB), or None for RGB if any image is coloured.
        skip_unreadable: Of a folder: whether to go on without files that cannot be read; each is named.

    Raises:
        FileNotFoundError: The data set is not there in any format; the message lists the missing files.
        ValueError: A file is damaged, files do not belong together, or a folder is asked for a test split.
    """
    if name not in KNOWN:
        if split == "test":
            raise ValueError(f"{name} has no official test split; load the folder of test images by its path")
        return load_folder(Path(name), size, channels, skip_unreadable=skip_unreadable)
    folder = root / name
    try:
        if name == "smallnorb":
            return load_smallnorb(folder, split, stereo=stereo)
        return load_idx(name, folder, split, IDX_CLASSES[name])
    except FileNotFoundError as error:
        command = f"matcaps download {name} --to {root}"
        raise FileNotFoundError(
            f"no {split} split of {name}: {error}; to download it: {command}; "
            "if it is elsewhere, name its folder with --root"
        ) from None
