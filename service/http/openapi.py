"""OpenAPI documentation of what FastAPI does not derive: bodies read by hand, npz answers, and errors."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.types import ASGIApp

from matcaps.images.formats import MEDIA_TYPES
from matcaps.service.http.middleware.api_key import HEALTH
from matcaps.service.http.request_route import DirectRoutes
from matcaps.service.http.schemas import ImagesRequest, Problem

NPZ = "application/x-npz"
PROBLEM = "application/problem+json"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

IMAGES_BODY: dict[str, Any] = {
    "description": (
        "One image as the raw body, or one or more images in a form or in JSON. A stereo model takes two images per "
        "sample, left and right; other models take one. For a grey model colours become grey, for an RGB model grey "
        "becomes three equal channels."
    ),
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
    """An input of the Open Inference Protocol. Its data is flat or nested, with as many elements as its shape has."""
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
    "description": (
        "Inputs as JSON, or JSON followed by binary tensor data (Inference-Header-Content-Length). Either images: "
        "pixels [n, channels, height, width] with 1 (grey), 2 (left and right) or 3 (RGB) channels. Or files: encoded "
        "images, two per sample for a stereo model, otherwise one."
    ),
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": ["string", "null"]},
                    "parameters": {"type": ["object", "null"]},
                    "inputs": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {"oneOf": [_tensor("files", "BYTES", BASE64), _tensor("images", "UINT8", PIXEL)]},
                    },
                    "outputs": {
                        "type": ["array", "null"],
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": {"type": "string"}, "parameters": {"type": ["object", "null"]}},
                        },
                    },
                },
            }
        },
        "application/octet-stream": BINARY,
    },
}


# The two ways to send an API key; Swagger UI asks for one.
KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as `Authorization: Bearer KEY`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key as `X-API-Key: KEY`"},
}


class DocumentedAPI(FastAPI):
    """FastAPI with API keys and the schemas of images and problems in its documentation.

    Args:
        keys_needed: Whether requests need an API key. Otherwise the documentation says that one may be sent.
        options: Those of FastAPI.
    """

    def __init__(self, keys_needed: bool, **options: Any) -> None:
        super().__init__(**options)
        self._keys_needed = keys_needed

    def call_directly(self, routers: Iterable[APIRouter]) -> None:
        """Call the direct routes of these routers without FastAPI's routing."""
        # The stack is for FastAPI's parameters, and stands around all middleware of the router otherwise.
        others = AsyncExitStackMiddleware(self.router.middleware_stack)
        self.router.middleware_stack = DirectRoutes(others, routers)

    def build_middleware_stack(self) -> ASGIApp:
        # Without what FastAPI adds, because the service has limits on bodies and telemetry of its own.
        return Starlette.build_middleware_stack(self)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            components = schema.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for model in (ImagesRequest, Problem):
                schemas[model.__name__] = model.model_json_schema()
            components["securitySchemes"] = KEYS
            schema["security"] = [*([] if self._keys_needed else [{}]), *({name: []} for name in KEYS)]
            for path, operations in schema["paths"].items():
                if path.startswith(HEALTH):
                    for operation in operations.values():
                        operation["security"] = []
        return super().openapi()


def arrays_too(answer: type[BaseModel]) -> dict[str, Any]:
    """Documentation of an answer that is JSON, or npz if the client accepts it."""
    return {"model": answer, "content": {NPZ: BINARY}}


def problems(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Documentation of a route's errors: those with the given statuses, and ``default`` for any other."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
    }
    return {**named, "default": {"description": "Any other error", "content": content}}


def v2_errors() -> dict[int | str, dict[str, Any]]:
    """Documentation of errors under /v2."""
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    content = {"application/json": {"schema": schema}}
    return {"default": {"description": "Any error", "content": content}}
