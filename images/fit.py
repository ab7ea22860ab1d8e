"""An image to the size that a model takes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """The centre of a grey image, uint8 [height, width]: shrunk by area averaging, or enlarged bilinearly.

    An image in mode RGB gives [3, height, width]; each of its channels is treated as a grey image.

    >>> fit(Image.new("L", (4, 2), 7), 1, 1)
    array([[7]], dtype=uint8)
    """
    if image.mode == "RGB":
        return np.stack([fit(image.getchannel(channel), height, width) for channel in range(3)])
    if image.size == (width, height):
        return np.asarray(image, np.uint8)
    scale = min(image.width / width, image.height / height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - across) // 2, (image.height - down) // 2
    box = (left, top, left + across, top + down)
    # In floats, rounded once, halves to even. With bytes Pillow rounds twice, after the rows and after the columns.
    levels = image.crop(box).convert("F")
    if across % width == 0 and down % height == 0:
        fitted = levels.reduce((across // width, down // height))
    else:
        method = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
        fitted = levels.resize((width, height), method)
    pixels: NDArray[np.uint8] = np.rint(np.asarray(fitted)).astype(np.uint8)
    return pixels
