"""Bodies of requests and answers of the native routes."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

NPZ = {"accept": "application/x-npz"}


def arrays_of(content: bytes) -> dict[str, NDArray[np.float32]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def as_json(*images: bytes) -> dict[str, Any]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


def as_form(*images: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("images", (f"{number}.png", image, "image/png")) for number, image in enumerate(images)]
