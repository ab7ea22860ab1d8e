"""From arrays to responses: JSON with names, or npz with the arrays themselves."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import Request
from fastapi.responses import Response
from numpy.typing import NDArray

from matcaps.service.backends.artefact import CLASS_LAYER, Metadata, poses_output
from matcaps.service.backends.session import Arrays
from matcaps.service.errors import NotAcceptableError, NotFoundError
from matcaps.service.http.headers import headers_of

JSON, NPZ = "application/json", "application/x-npz"
DECIMALS = 6  # as precise as float32 and the parity bound


def choose_type(request: Request, served: Sequence[str] = (JSON, NPZ)) -> str:
    """The type that the client prefers, of those that are served.

    Raises:
        NotAcceptableError: It accepts none of them.
    """
    given = b"accept" in headers_of(request.scope)
    accepted = ", ".join(request.headers.getlist("accept")) if given else ""
    if accepted in ("", "*/*"):
        return served[0]  # what most clients send, or nothing
    qualities: dict[str, float] = {}
    for part in accepted.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        qualities[kind] = max(_quality(parameters), qualities.get(kind, 0.0))

    def quality(kind: str) -> float:
        """The quality of the most specific range that a type is in (RFC 9110, section 12.5.1)."""
        ranges = (kind, "application/*", "*/*")
        return next((qualities[name] for name in ranges if name in qualities), 0.0)

    best = max(served, key=quality)
    if quality(best) <= 0.0:
        raise NotAcceptableError(f"responses are {' or '.join(served)}, the request accepts {accepted[:200]!r}")
    return best


def json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of JSON, in which numpy's arrays are lists."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, media_type=JSON)


def text(quoted: str) -> str:
    """A text that UTF-8 can encode; it may quote bytes of the client that are not UTF-8."""
    return quoted.encode("utf-8", "replace").decode()


def npz(arrays: Arrays, id_: str) -> Response:
    """Arrays as a file that ``numpy.load`` reads. The id is in a header, since npz has no place for text."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return Response(buffer.getvalue(), headers={"x-prediction-id": id_}, media_type=NPZ)


def predictions(metadata: Metadata, arrays: Arrays) -> list[dict[str, Any]]:
    """Label, activations and poses by class, for each sample."""
    activations = _plain(arrays["activations"]).tolist()
    labels = arrays["activations"].argmax(1).tolist()
    return [
        {
            "label": metadata.classes[label],
            "activations": dict(zip(metadata.classes, activation, strict=True)),
            "poses": poses,
        }
        for label, activation, poses in zip(
            labels, activations, class_poses(metadata.classes, arrays["poses"]), strict=True
        )
    ]


def class_poses(classes: Sequence[str], poses: NDArray[np.float32]) -> list[dict[str, Any]]:
    """4×4 poses by class, for each sample."""
    return [dict(zip(classes, of_sample, strict=True)) for of_sample in _plain(poses)]


def layer_grid(metadata: Metadata, name: str) -> tuple[int, int]:
    """Rows and columns of a layer.

    Raises:
        NotFoundError: The model has no such layer.
    """
    layer = metadata.layer(name)
    if layer is None:
        known = ", ".join(layer.name for layer in metadata.layers)
        raise NotFoundError(f"no layer {name[:80]!r}; there are {known}")
    return layer.grid


def layer_poses(metadata: Metadata, name: str, arrays: Arrays) -> Sequence[Any]:
    """Poses of a layer for each sample: by class, or as [row][column][type] 4×4."""
    if name == CLASS_LAYER:
        return class_poses(metadata.classes, arrays["poses"])
    poses = arrays[poses_output(name)]
    sites_as_grid = (len(poses), *layer_grid(metadata, name), *poses.shape[2:])
    return list(_plain(poses.reshape(sites_as_grid)))


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error as RFC 9457 defines it."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": text(detail)}
    return Response(orjson.dumps(content), status, headers, media_type="application/problem+json")


def _plain(values: NDArray[np.float32]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = values.astype(np.float64).round(DECIMALS)
    return rounded


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0.0 <= quality <= 1.0 else 0.0
    return 1.0
