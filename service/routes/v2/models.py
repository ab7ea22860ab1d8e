"""``/v2``: health, metadata, readiness and statistics of models."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from matcaps import __version__
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.errors import NotReadyError
from matcaps.service.http import responses
from matcaps.service.routes.health import check_live, check_ready
from matcaps.service.routes.v2.paths import NAME, PREFIX, VERSION, Version

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]


def model_routes(engine: Engine) -> APIRouter:
    """The routes that describe the server and its models."""
    router = APIRouter(prefix=PREFIX)

    @router.get("")
    async def server() -> Response:
        """Name, version and extensions of the server."""
        return responses.json({"name": "matcaps", "version": __version__, "extensions": EXTENSIONS})

    @router.get("/health/live")
    async def live() -> Response:
        """Whether the process answers, and every network's threads still run."""
        check_live(engine)
        return responses.json({"live": True})

    @router.get("/health/ready")
    async def ready() -> Response:
        """Whether requests may come."""
        check_ready(engine)
        return responses.json({"ready": True})

    @router.get("/models/stats")  # before the route of a model's name, which "stats" would match
    async def all_statistics() -> Response:
        """What all versions have run so far."""
        return await _statistics(engine, engine.models().loaded)

    @router.get(NAME + "/stats")
    async def model_statistics(name: str) -> Response:
        """What a model has run so far, in its highest version."""
        return await _statistics(engine, [engine.find(ModelRef(name))])

    @router.get(VERSION + "/stats")
    async def version_statistics(name: str, version: Version) -> Response:
        """What a version has run so far."""
        return await _statistics(engine, [engine.find(ModelRef(name, version))])

    @router.get(NAME)
    async def model(name: str) -> Response:
        """Inputs and outputs of a model."""
        return _metadata(engine, ModelRef(name))

    @router.get(VERSION)
    async def model_version(name: str, version: Version) -> Response:
        """Inputs and outputs of a version."""
        return _metadata(engine, ModelRef(name, version))

    @router.get(NAME + "/ready")
    async def model_ready(name: str) -> Response:
        """Whether a model takes requests."""
        return _readiness(engine, ModelRef(name))

    @router.get(VERSION + "/ready")
    async def version_ready(name: str, version: Version) -> Response:
        """Whether a version takes requests."""
        return _readiness(engine, ModelRef(name, version))

    return router


def _metadata(engine: Engine, model: ModelRef) -> Response:
    version = engine.find(model)
    image = version.metadata.image
    versions = engine.models().versions(version.name)
    outputs = version.metadata.outputs().items()
    return responses.json(
        {
            "name": version.name,
            "versions": [str(number) for number in versions],
            "platform": "onnxruntime_onnx",
            "inputs": [
                {"name": "images", "datatype": "UINT8", "shape": [-1, *image.shape]},
                {"name": "files", "datatype": "BYTES", "shape": [-1, image.images_per_sample]},
            ],
            "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, *shape]} for name, shape in outputs],
        }
    )


def _readiness(engine: Engine, model: ModelRef) -> Response:
    version = engine.find(model)
    if not engine.started:
        raise NotReadyError("the service is starting or draining")
    return responses.json({"name": version.name, "ready": True})


async def _statistics(engine: Engine, versions: Sequence[ModelVersion]) -> Response:
    rows: list[dict[str, Any]] = [
        {"name": version.name, "version": str(version.version), **await engine.statistics(version)}
        for version in versions
    ]
    return responses.json({"model_stats": rows})
