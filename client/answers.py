"""From the bytes of answers to results and errors."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import numpy as np

from matcaps.client.errors import MatcapsError
from matcaps.client.requests import CLASS_LAYER
from matcaps.client.results import Array, Layer, LayerPoses, Model, Prediction

T = TypeVar("T")


def prediction(content: bytes) -> Prediction:
    """The answer of ``/predict``."""
    return _read(content, _prediction)


def layer_poses(content: bytes) -> LayerPoses:
    """The answer of ``/poses``."""
    return _read(content, _layer_poses)


def models(content: bytes) -> tuple[Model, ...]:
    """The answer of ``/models``."""
    return _read(content, lambda answer: tuple(_model(one) for one in answer["models"]))


def model(content: bytes) -> Model:
    """The answer of ``/models/{name}``."""
    return _read(content, _model)


def default(found: tuple[Model, ...]) -> str:
    """The name of the default model.

    Raises:
        MatcapsError: It is not loaded.
    """
    names = [one.name for one in found if one.default]
    if not names:
        raise MatcapsError("the default model is not loaded; name a model")
    return names[0]


def not_ready(error: MatcapsError) -> bool:
    """Always false, for an error that means that the service is not ready; raises any other one."""
    if error.status in (None, 503):
        return False
    raise error


def check_pairs(found: Prediction | LayerPoses, pairs: int | None) -> None:
    """Check that pairs were answered as pairs.

    Raises:
        ValueError: The model takes single pictures, and answered each picture of the pairs by itself.
    """
    if pairs is not None and len(found.poses) != pairs:
        raise ValueError(f"expected a model of pairs, got {found.model}/{found.version}, which takes single images")


def detail_of(status: int, content: bytes) -> str:
    """The reason of an error: the problem's detail, or else what the status means and how the answer begins."""
    try:
        answer = json.loads(content)
        return str(answer["detail"] if "detail" in answer else answer["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        meaning = httpx.codes.get_reason_phrase(status) or "unknown status"
        start = " ".join(content[:200].decode(errors="replace").split())
        return f"{meaning}: {start}" if start else meaning


def _read(content: bytes, read: Callable[[Any], T]) -> T:
    try:
        return read(json.loads(content))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        reason = f"{type(error).__name__} {error}"
        raise MatcapsError(f"the answer is not one of matcaps ({reason[:200]}); check the URL", 200) from None


def _prediction(answer: Mapping[str, Any]) -> Prediction:
    samples = answer["predictions"]
    classes = tuple(samples[0]["activations"])
    return Prediction(
        *_head(answer),
        classes,
        tuple(sample["label"] for sample in samples),
        _array([[sample["activations"][name] for name in classes] for sample in samples]),
        _array([[sample["poses"][name] for name in classes] for sample in samples]),
    )


def _layer_poses(answer: Mapping[str, Any]) -> LayerPoses:
    layer, (rows, columns) = answer["layer"], answer["grid"]
    samples = [sample["poses"] for sample in answer["predictions"]]
    classes = tuple(samples[0]) if layer == CLASS_LAYER else ()
    values = [[poses[name] for name in classes] for poses in samples] if classes else samples
    return LayerPoses(*_head(answer), layer, (rows, columns), classes, _array(values))


def _head(answer: Mapping[str, Any]) -> tuple[str, str, int]:
    return answer["id"], answer["model"]["name"], answer["model"]["version"]


def _model(answer: Mapping[str, Any]) -> Model:
    image = answer["image"]
    return Model(
        answer["name"],
        answer["version"],
        tuple(answer["versions"]),
        answer["default"],
        answer["provider"],
        tuple(answer["classes"]),
        image["channels"],
        image["height"],
        image["width"],
        tuple(Layer(one["name"], (one["grid"][0], one["grid"][1]), one["types"]) for one in answer["layers"]),
        answer["training"],
    )


def _array(values: Any) -> Array:
    return np.array(values, np.float64)
