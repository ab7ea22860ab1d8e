"""Whether a folder of images is grey or coloured."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from matcaps.images.errors import ImageError

# The largest difference between the channels of a grey image, in levels: profiles and lossy formats tint it a little.
TINT = 8


def decide_channels(files: Sequence[Path], read: Callable[[Path], NDArray[np.uint8]]) -> Literal[1, 3]:
    """3 if any image is coloured, 1 if all are grey; says which in one line.

    Args:
        files: The images. Those that cannot be read are passed over here.
        read: Reads an image in RGB, [3, height, width].
    """
    for path in tqdm(files, desc="colours", unit="file", leave=False, disable=None):
        try:
            pixels = read(path)
        except (ImageError, OSError, ValueError):
            continue
        if np.ptp(pixels, axis=0).max() > TINT:
            _say(f"RGB images (3 channels), since {path} is coloured; --channels 1 makes all of them grey")
            return 3
    _say(f"grey images (1 channel), since none of {len(files)} is coloured; --channels 3 makes all of them RGB")
    return 1


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
