"""``/v2/models/{name}/config``: the configuration of a model as Triton writes it, for Triton's perf_analyzer.

Source: Triton, "Model configuration extension"; the fields are those of its ``ModelConfig`` in JSON.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.http import responses
from matcaps.service.routes.v2.paths import NAME, PREFIX, VERSION, Version
from matcaps.service.settings import Settings


def config_routes(engine: Engine, settings: Settings) -> APIRouter:
    """The routes for configurations."""
    router = APIRouter(prefix=PREFIX)

    @router.get(NAME + "/config")
    async def model_config(name: str) -> Response:
        """Triton's configuration of a model, in its highest version."""
        return responses.json(_config(engine.find(ModelRef(name)), settings))

    @router.get(VERSION + "/config")
    async def version_config(name: str, version: Version) -> Response:
        """Triton's configuration of a version."""
        return responses.json(_config(engine.find(ModelRef(name, version)), settings))

    return router


def _config(version: ModelVersion, settings: Settings) -> dict[str, Any]:
    """The fields that matcaps has a value for. Shapes are without the batch, because the batch size is not 0."""
    image = version.metadata.image
    largest = max(1, settings.max_images // image.images_per_sample)  # samples of a request; batches may be smaller
    return {
        "name": version.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"all": {}},
        "max_batch_size": largest,
        # Both are optional, since a request has one of them.
        "input": [
            {"name": "images", "data_type": "TYPE_UINT8", "dims": image.shape, "optional": True},
            {"name": "files", "data_type": "TYPE_STRING", "dims": [image.images_per_sample], "optional": True},
        ],
        "output": [
            {"name": name, "data_type": "TYPE_FP32", "dims": shape}
            for name, shape in version.metadata.outputs().items()
        ],
        "dynamic_batching": {
            "preferred_batch_size": [min(settings.max_batch, largest)],
            "max_queue_delay_microseconds": round(settings.max_wait_ms * 1000),
        },
        "default_model_filename": "model.onnx",
    }
