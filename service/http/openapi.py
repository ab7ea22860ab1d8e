"""The documentation of what FastAPI cannot see: bodies that the routes read themselves, npz answers, problems."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from matcaps.service.http.schemas import ImagesRequest, Problem
from matcaps.service.images.decode import MEDIA_TYPES

NPZ = "application/x-npz"
PROBLEM = "application/problem+json"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

IMAGES_BODY: dict[str, Any] = {
    "description": "One image as it is, or one or many in a form or in JSON",
    "required": True,
    "content": {
        **dict.fromkeys(MEDIA_TYPES, BINARY),
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["images"],
                "properties": {"images": {"type": "array", "minItems": 1, "items": BINARY["schema"]}},
            },
            "encoding": {"images": {"contentType": ", ".join(MEDIA_TYPES)}},
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/ImagesRequest"}},
    },
}


BASE64: dict[str, Any] = {"type": "string", "format": "byte"}
PIXEL: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 255}


def _tensor(name: str, datatype: str, element: dict[str, Any]) -> dict[str, Any]:
    """An input of the Open Inference Protocol; its data has as many elements as its shape says, nested or flat."""
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "integer", "minimum": 1}},
            "data": {"type": "array", "minItems": 1, "items": {"anyOf": [element, {"type": "array"}]}},
        },
    }


V2_BODY: dict[str, Any] = {
    "description": "Inputs as JSON, or JSON with the bytes of tensors behind it (Inference-Header-Content-Length)",
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": {"type": "object"},
                    "inputs": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {"oneOf": [_tensor("files", "BYTES", BASE64), _tensor("images", "UINT8", PIXEL)]},
                    },
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                        },
                    },
                },
            }
        },
        "application/octet-stream": BINARY,
    },
}


class DocumentedAPI(FastAPI):
    """FastAPI whose errors are problems, in its documentation as well; ``/`` leads to that."""

    def setup(self) -> None:
        super().setup()

        async def documentation(_: Request) -> RedirectResponse:
            return RedirectResponse("docs")  # relative, for a proxy may have put the service under a path

        self.add_route("/", documentation, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            for model in (ImagesRequest, Problem):
                schemas[model.__name__] = model.model_json_schema()
        return super().openapi()


def arrays_too(answer: type[BaseModel]) -> dict[str, Any]:
    """The documentation of an answer that is JSON, or npz where the client accepts it."""
    return {"model": answer, "content": {NPZ: BINARY}}


def problems(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """The documentation of errors: those that a route is known for, and ``default`` for any other."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
    }
    return {**named, "default": {"description": "Any other error", "content": content}}


def v2_errors() -> dict[int | str, dict[str, Any]]:
    """The documentation of errors under /v2."""
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    content = {"application/json": {"schema": schema}}
    return {"default": {"description": "Any error", "content": content}}
