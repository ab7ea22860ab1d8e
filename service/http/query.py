"""The model, the version, the layer and the outputs that the query of a request names.

They are read by hand: FastAPI's parsing of three parameters would double the time of a small request.
"""

from typing import Annotated, Any, NamedTuple

from fastapi import Request
from pydantic import BeforeValidator, WithJsonSchema

from matcaps.service.backends.artefact import CLASS_LAYER
from matcaps.service.engine.model_version import ModelRef
from matcaps.service.engine.versions import EXPECTED, HIGHEST, parse_version
from matcaps.service.errors import MalformedError

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
OUTPUTS: dict[str, Any] = {
    "name": "outputs",
    "in": "query",
    "required": False,
    "description": "For npz: names of outputs, as GET /v2/models/{name} lists them, with commas between them",
    "schema": {"type": "string"},
}
LAYER: dict[str, Any] = {
    "name": "layer",
    "in": "query",
    "required": False,
    "description": "A layer of capsules, as GET /models/{name} lists them",
    "schema": {"type": "string", "default": CLASS_LAYER},
}


def version_of(text: object) -> int:
    """The version that a query or a path names.

    Raises:
        MalformedError: It is not a positive integer, or too large.
    """
    version = parse_version(str(text))
    if version is None:
        raise MalformedError(f"the version must be {EXPECTED}, got {str(text)[:40]!r}")
    return version


# For FastAPI's parameters. A MalformedError of a validator reaches the client as it is. The schema is given by hand:
# after a validator, pydantic writes bounds as ge and le, which JSON Schema does not know.
Version = Annotated[int, BeforeValidator(version_of), WithJsonSchema(VERSION["schema"])]


class Query(NamedTuple):
    """What a query names; by default the default model and the class layer."""

    model: ModelRef = ModelRef()
    layer: str = CLASS_LAYER
    outputs: tuple[str, ...] | None = None


def query_of(request: Request) -> Query:
    """The query of a request.

    Raises:
        MalformedError: The version is not a positive integer, or too large.
    """
    if not request.scope["query_string"]:
        return Query()
    query = request.query_params
    version = query.get("version")
    return Query(
        ModelRef(query.get("model"), None if version is None else version_of(version)),
        query.get("layer", CLASS_LAYER),
        tuple(query["outputs"].split(",")) if "outputs" in query else None,
    )
