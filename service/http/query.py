"""Which model, version and layer a request names, read off its query by hand.

FastAPI's own reading of three parameters costs as much as the rest of a small request does together.
"""

from typing import Any, NamedTuple

from fastapi import Request

from matcaps.service.backends.artefact import CLASS_LAYER
from matcaps.service.errors import MalformedError

HIGHEST = 10**18 - 1  # version: what 64 bits hold, and no text is too long to be read as a number
NAME: dict[str, Any] = {
    "name": "model",
    "in": "query",
    "required": False,
    "description": "Name of a model; the default one if absent",
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


class Choice(NamedTuple):
    """What a request names; None and the class layer where it names nothing."""

    model: str | None = None
    version: int | None = None
    layer: str = CLASS_LAYER


def choice_of(request: Request) -> Choice:
    """The choice in a request's query.

    Raises:
        MalformedError: The version is no positive integer.
    """
    if not request.scope["query_string"]:
        return Choice()
    query = request.query_params
    return Choice(query.get("model"), _version(query.get("version")), query.get("layer", CLASS_LAYER))


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 1 <= int(text) <= HIGHEST):
        raise MalformedError(f"query.version: it must be an integer from 1 to {HIGHEST}, found {text[:40]!r}")
    return int(text)
