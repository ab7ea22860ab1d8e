"""Images whose answers from the trivial network are known, so that a wrong answer is noticed."""

import io
import json

from PIL import Image

from benchmarks.harness.client import Answer, Request
from benchmarks.harness.trivial import CLASSES, SIDE


def grey_request(level: int, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request with an even grey PNG."""
    return Request("/predict", grey_png(level), {"content-type": "image/png", **(headers or {})}).encode()


def grey_png(level: int) -> bytes:
    """An even grey PNG."""
    file = io.BytesIO()
    Image.new("L", (SIDE, SIDE), level).save(file, "PNG")
    return file.getvalue()


def is_right(answer: Answer, level: int) -> bool:
    """Whether an answer has status 200 and the activations of an even grey image of this level."""
    if answer.status != 200:
        return False
    try:
        (prediction,) = json.loads(answer.body)["predictions"]
    except (ValueError, KeyError):
        return False
    expected = {name: (level + place) / 1000 for place, name in enumerate(CLASSES)}
    found = prediction["activations"]
    near = set(found) == set(expected) and all(abs(found[name] - value) < 1e-5 for name, value in expected.items())
    return near and prediction["label"] == CLASSES[-1]
