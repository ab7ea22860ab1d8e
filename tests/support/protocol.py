"""Requests of the Open Inference Protocol."""

from typing import Any

import numpy as np
import orjson

LENGTH = "inference-header-content-length"
INFER = "/v2/models/norb/infer"


def images(*levels: int) -> dict[str, Any]:
    data = [[[[level] * 8] * 8] for level in levels]
    return {"name": "images", "datatype": "UINT8", "shape": [len(levels), 1, 8, 8], "data": data}


def in_bytes(*levels: int, **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose pixels follow its JSON, and its headers."""
    tensor = {**images(*levels), "parameters": {"binary_data_size": 64 * len(levels)}}
    del tensor["data"]
    text = orjson.dumps({"inputs": [tensor], **more})
    pixels = np.array(levels, np.uint8).repeat(64).tobytes()
    return text + pixels, {LENGTH: str(len(text)), "content-type": "application/octet-stream"}
