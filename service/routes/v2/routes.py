"""``/v2``: metadata, readiness, the repository, and statistics."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps import __version__
from matcaps.service.backends.artefact import CONV_LAYERS, Metadata
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import ForbiddenError, MalformedError, NotReadyError
from matcaps.service.http import responses as answers
from matcaps.service.http.body import read_body
from matcaps.service.http.openapi import v2_errors
from matcaps.service.routes.v2.infer import NAME, VERSION, Version, infer_routes
from matcaps.service.service import Service

EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "statistics"]


def v2_routes(service: Service) -> APIRouter:
    """The routes of the protocol; what is answered is JSON, errors included: ``{"error": …}``."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=v2_errors())
    repository = service.repository

    @router.get("")
    async def server() -> Response:
        """What serves here."""
        return answers.json({"name": "matcaps", "version": __version__, "extensions": EXTENSIONS})

    @router.get("/health/live")
    async def live() -> Response:
        """Whether the process answers, and every network's thread still runs."""
        if not service.alive:
            raise NotReadyError("a network's thread has ended")
        return answers.json({"live": True})

    @router.get("/health/ready")
    async def ready() -> Response:
        """Whether requests are taken."""
        if not service.ready:
            raise NotReadyError("the service is starting or draining, or the default model is not loaded")
        return answers.json({"ready": True})

    def described(name: str, version: int | None = None) -> Response:
        return answers.json(_describe(repository.find(name, version), repository.versions(name)))

    def readiness(name: str, version: int | None = None) -> Response:
        served = repository.find(name, version)
        if not service.started:
            raise NotReadyError("the service is starting or draining")
        return answers.json({"name": served.name, "ready": True})

    def statistics(served: list[ModelVersion]) -> Response:
        return answers.json({"model_stats": [_statistics(version) for version in served]})

    @router.get("/models/stats")  # before the models, of which "stats" would be a name
    async def all_statistics() -> Response:
        """What all versions have run so far."""
        return statistics(repository.served)

    @router.get(NAME + "/stats")
    async def model_statistics(name: str) -> Response:
        """What a model has run so far, in its highest version."""
        return statistics([repository.find(name)])

    @router.get(VERSION + "/stats")
    async def version_statistics(name: str, version: Version) -> Response:
        """What a version has run so far."""
        return statistics([repository.find(name, version)])

    @router.get(NAME)
    async def model(name: str) -> Response:
        """Inputs and outputs of a model."""
        return described(name)

    @router.get(VERSION)
    async def model_version(name: str, version: Version) -> Response:
        """Inputs and outputs of a version."""
        return described(name, version)

    @router.get(NAME + "/ready")
    async def model_ready(name: str) -> Response:
        """Whether a model takes requests."""
        return readiness(name)

    @router.get(VERSION + "/ready")
    async def version_ready(name: str, version: Version) -> Response:
        """Whether a version takes requests."""
        return readiness(name, version)

    @router.post("/repository/index")
    async def index(request: Request) -> Response:
        """All versions in the folder, those that are refused with their reasons; with ``ready`` those that serve."""
        rows = [(version.name, version.version, "READY", "") for version in repository.served]
        if not await _only_ready(service, request):
            rows += [(name, version, "UNAVAILABLE", reason) for name, version, reason in repository.refused]
            rows += [(name, version, "UNAVAILABLE", "unloaded") for name, version in repository.unloaded]
        return answers.json(
            [
                {"name": name, "version": str(version), "state": state, "reason": reason}
                for name, version, state, reason in sorted(rows)
            ]
        )

    @router.post("/repository/models/{name}/load")
    async def load(name: str) -> Response:
        """Load all versions of a model anew."""
        _check_control(service)
        await asyncio.to_thread(repository.load, name)
        return answers.json({})

    @router.post("/repository/models/{name}/unload")
    async def unload(name: str) -> Response:
        """Serve a model no more until it is loaded."""
        _check_control(service)
        await asyncio.to_thread(repository.unload, name)
        return answers.json({})

    router.include_router(infer_routes(service))
    return router


async def _only_ready(service: Service, request: Request) -> bool:
    """What the body's ``ready`` says; there need be no body."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return False
    try:
        content = orjson.loads(await read_body(request, service.settings))
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"the body is no JSON: {error}") from None
    ready = content.get("ready", False) if isinstance(content, dict) else None
    if not isinstance(ready, bool):
        raise MalformedError('the body must be an object, {"ready": true} for those that serve, or absent')
    return ready


def _check_control(service: Service) -> None:
    if not service.settings.model_control:
        raise ForbiddenError("models are not loaded and unloaded over HTTP here; MATCAPS_MODEL_CONTROL=1 allows it")


def _describe(served: ModelVersion, versions: list[int]) -> dict[str, Any]:
    image = served.metadata.image
    return {
        "name": served.name,
        "versions": [str(version) for version in versions],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "images", "datatype": "UINT8", "shape": [-1, image.channels, image.height, image.width]},
            {"name": "files", "datatype": "BYTES", "shape": [-1, image.channels]},
        ],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": [-1, *shape]} for name, shape in _outputs(served.metadata)
        ],
    }


def _outputs(metadata: Metadata) -> list[tuple[str, list[int]]]:
    classes = len(metadata.classes)
    outputs, children = [("activations", [classes]), ("poses", [classes, 4, 4])], list[int]()
    for layer in metadata.layers:
        if layer.name in CONV_LAYERS:
            sites = layer.grid[0] * layer.grid[1]
            outputs.append((f"{layer.name}_activations", [sites, layer.types]))
            outputs.append((f"{layer.name}_poses", [sites, layer.types, 4, 4]))
            children = [sites, layer.types]  # of the class layer, in the end: the last one's
    return [*outputs, ("class_assignments", [*children, classes])]


def _statistics(served: ModelVersion) -> dict[str, Any]:
    return {"name": served.name, "version": str(served.version), **served.statistics.as_json()}
