"""``/v2``: metadata, readiness, the repository, and statistics."""

import asyncio
from importlib import metadata as packages
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from service import answers
from service.artefact import CONV_LAYERS, Metadata
from service.errors import ForbiddenError, NotReadyError
from service.openapi import v2_errors
from service.served import Served
from service.service import Service
from service.v2.infer import infer_routes

EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "statistics"]
NAME = "/models/{name}"
VERSION = "/models/{name}/versions/{version}"


def v2_routes(service: Service) -> APIRouter:
    """The routes of the protocol; what is answered is JSON, errors included: ``{"error": …}``."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=v2_errors())
    repository = service.repository

    @router.get("")
    async def server() -> Response:
        """What serves here."""
        return answers.json({"name": "emcaps", "version": packages.version("emcaps"), "extensions": EXTENSIONS})

    @router.get("/health/live")
    async def live() -> Response:
        """Whether the process answers."""
        return answers.json({"live": True})

    @router.get("/health/ready")
    async def ready() -> Response:
        """Whether requests are taken."""
        if not service.ready:
            raise NotReadyError("the service is starting or draining, or the default model is not loaded")
        return answers.json({"ready": True})

    @router.get("/models/stats")  # before the models, of which "stats" would be a name
    @router.get(NAME + "/stats")
    @router.get(VERSION + "/stats")
    async def statistics(name: str | None = None, version: int | None = None) -> Response:
        """What has run so far."""
        asked = repository.served if name is None else [repository.find(name, version)]
        return answers.json({"model_stats": [_statistics(served) for served in asked]})

    @router.get(NAME)
    @router.get(VERSION)
    async def model(name: str, version: int | None = None) -> Response:
        """Inputs and outputs of a model."""
        return answers.json(_describe(repository.find(name, version), repository.versions(name)))

    @router.get(NAME + "/ready")
    @router.get(VERSION + "/ready")
    async def model_ready(name: str, version: int | None = None) -> Response:
        """Whether a model takes requests."""
        served = repository.find(name, version)
        if not service.started:
            raise NotReadyError("the service is starting or draining")
        return answers.json({"name": served.name, "ready": True})

    @router.post("/repository/index")
    async def index() -> Response:
        """All versions in the folder, those that are refused with their reasons."""
        served = [(version.name, version.version, "READY", "") for version in repository.served]
        refused = [(name, version, "UNAVAILABLE", reason) for name, version, reason in repository.refused]
        return answers.json(
            [
                {"name": name, "version": str(version), "state": state, "reason": reason}
                for name, version, state, reason in sorted(served + refused)
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


def _check_control(service: Service) -> None:
    if not service.settings.model_control:
        raise ForbiddenError("models are not loaded and unloaded over HTTP here; EMCAPS_MODEL_CONTROL=1 allows it")


def _describe(served: Served, versions: list[int]) -> dict[str, Any]:
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


def _statistics(served: Served) -> dict[str, Any]:
    return {"name": served.name, "version": str(served.version), **served.statistics.as_json()}
