"""The model, the version and the layer that the query of a request names.

They are read by hand: FastAPI's parsing of three parameters would double the time of a small request.
"""

from typing import Any, NamedTuple

from fastapi import Request

from matcaps.service.backends.artefact import CLASS_LAYER
from matcaps.service.engine.model_version import ModelRef
from matcaps.service.errors import MalformedError

HIGHEST = 10**18 - 1  # version: fits into 64 bits, and its text is short
NAME: dict[str, Any] = {
    "name": "model",
    "in": "query",
    "required": False,
    "description": "Name of a model; the default model if absent",
    "schema": {"type": "string"},
}
VERSION: dict[str, Any] = {
    "name": "version",
    "in": "query",
    "required": False,
    "description": "Version of the model; the highest if absent",
    "schema": {"type": "integer", "minimum": 1, "maximum": HIGHEST},
}
LAYER: dict[str, Any] = {
    "name": "layer",
    "in": "query",
    "required": False,
    "description": "A layer of capsules, as GET /models/{name} lists them",
    "schema": {"type": "string", "default": CLASS_LAYER},
}


class Query(NamedTuple):
    """What a query names; by default the default model and the class layer."""

    model: ModelRef = ModelRef()
    layer: str = CLASS_LAYER


def query_of(request: Request) -> Query:
    """The query of a request.

    Raises:
        MalformedError: The version is not a positive integer.
    """
    if not request.scope["query_string"]:
        return Query()
    query = request.query_params
    return Query(ModelRef(query.get("model"), _version(query.get("version"))), query.get("layer", CLASS_LAYER))


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= HIGHEST):
        raise MalformedError(f"query.version must be an integer from 1 to {HIGHEST}, got {text[:40]!r}")
    return int(text)
