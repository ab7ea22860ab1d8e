"""A grey image to the size that a model takes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def fit(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """The centre of a grey image, uint8 [height, width]: shrunk by area averaging, or enlarged bilinearly."""
    if image.size == (width, height):
        return np.asarray(image, np.uint8)
    scale = min(image.width / width, image.height / height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - across) // 2, (image.height - down) // 2
    box = (left, top, left + across, top + down)
    if across % width == 0 and down % height == 0:
        # Whole blocks are averaged and rounded once, halves to even, as in training. resize() would round twice,
        # after the rows and after the columns. reduce() of bytes would round halves up.
        means = np.asarray(image.convert("F").reduce((across // width, down // height), box), np.float32)
        return np.rint(means).astype(np.uint8)
    method = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), method, box=box), np.uint8)
