"""``POST /poses``: images in, the pose matrices of a layer out; ``GET /poses/{id}``: those of an earlier prediction."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.backends.artefact import CLASS_GRID, CLASS_LAYER, poses_output
from matcaps.service.engine.engine import Engine
from matcaps.service.http import responses
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import IMAGES_BODY, arrays_too, problems
from matcaps.service.http.query import LAYER, NAME, VERSION, query_of
from matcaps.service.http.request_route import RequestRoute
from matcaps.service.http.schemas import PosesAnswer
from matcaps.service.images.pool import DecoderPool
from matcaps.service.routes.inference import ImageInference, Prediction
from matcaps.service.settings import Settings

ERRORS = problems([400, 401, 404, 406, 408, 413, 415, 422, 429, 503, 504])


def poses_routes(engine: Engine, decoder: DecoderPool, settings: Settings) -> APIRouter:
    """The routes for poses."""
    router = APIRouter(tags=["capsules"], route_class=RequestRoute)
    inference = ImageInference(engine, decoder, settings)

    @router.post(
        "/poses",
        responses={200: arrays_too(PosesAnswer), **ERRORS},
        openapi_extra={"requestBody": IMAGES_BODY, "parameters": [LAYER, NAME, VERSION]},
    )
    async def poses(request: Request) -> Response:
        """Pose matrices alone, of any layer of capsules."""
        query = query_of(request)
        kind, layer = responses.choose_type(request), query.layer
        outputs = list({"poses", poses_output(layer)})  # the class poses are kept
        with engine.lease(query.model, context_of(request)) as version:
            responses.layer_grid(version.metadata, layer)  # refuses an unknown layer before the work
            found = await inference.predict(request, version, outputs)
        # In a thread, because the poses of a layer are up to megabytes of text per sample.
        return await decoder.apart(_layer_response, kind, found, layer)

    @router.get("/poses/{id}", responses={200: arrays_too(PosesAnswer), **problems([401, 404, 406, 503])})
    async def kept_poses(request: Request, id: str) -> Response:
        """The class poses of an earlier prediction, while they are kept."""
        kind = responses.choose_type(request)
        kept = await engine.poses(id, context_of(request).owner)
        if kind == responses.NPZ:
            return responses.npz({"poses": kept.poses}, kept.id)
        poses = responses.class_poses(kept.classes, kept.poses)
        return _json(kept.id, kept.model, CLASS_LAYER, CLASS_GRID, poses)

    return router


def _layer_response(kind: str, found: Prediction, layer: str) -> Response:
    output = poses_output(layer)
    if kind == responses.NPZ:
        return responses.npz({output: found.arrays[output]}, found.id)
    grid = responses.layer_grid(found.metadata, layer)
    return _json(found.id, found.model, layer, grid, responses.layer_poses(found.metadata, layer, found.arrays))


def _json(id_: str, model: dict[str, Any], layer: str, grid: tuple[int, int], poses: Sequence[Any]) -> Response:
    predictions = [{"poses": of_sample} for of_sample in poses]
    return responses.json({"id": id_, "model": model, "layer": layer, "grid": grid, "predictions": predictions})
