"""``/predict`` and ``/poses``: images in, class activations and pose matrices out."""

import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.backends.artefact import CLASS_GRID, CLASS_LAYER, Metadata
from matcaps.service.backends.session import Arrays
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.http import responses as answers
from matcaps.service.http.body import read_images
from matcaps.service.http.deadline import unless_gone, wait_of
from matcaps.service.http.middleware.api_key import owner_of
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.openapi import IMAGES_BODY, arrays_too, problems
from matcaps.service.http.query import LAYER, NAME, VERSION, choice_of
from matcaps.service.http.schemas import PosesAnswer, PredictAnswer
from matcaps.service.poses.store import KeptPoses
from matcaps.service.service import Service

OF_IMAGES = problems([400, 401, 404, 406, 408, 413, 415, 422, 429, 503, 504])


class Result(NamedTuple):
    """What a network said, and what said it: all that an answer is made of."""

    id: str
    model: dict[str, Any]
    metadata: Metadata
    arrays: Arrays


def capsule_routes(service: Service) -> APIRouter:
    """Routes that run networks."""
    router = APIRouter(tags=["capsules"])

    async def run(request: Request, served: ModelVersion, outputs: Sequence[str] | None) -> Result:
        served.check_room()
        contents = await read_images(request, service.settings)
        deadline_s = service.clock() + wait_of(request, service.settings.timeout_ms) / 1e3

        record = context_of(request)
        record.model = served.name

        async def answered() -> Arrays:
            record.decode_began_s = time.perf_counter()
            images = await service.decoder.samples(served.metadata.image, contents, deadline_s - service.clock())
            record.decode_s = time.perf_counter() - record.decode_began_s
            answer = await served.run(images, outputs, deadline_s)
            record.images, record.queue_s, record.inference_s = len(images), answer.queue_s, answer.inference_s
            return answer.arrays

        arrays = await unless_gone(request, answered())
        model = {"name": served.name, "version": served.version}
        result = Result(uuid.uuid4().hex, model, served.metadata, arrays)
        poses = arrays["poses"].copy()  # not a view of a whole batch
        await service.kept.keep(KeptPoses(result.id, model, served.metadata.classes, poses), owner_of(request))
        return result

    def poses_answer(kind: str, result: Result, layer: str) -> Response:
        output = answers.layer_output(layer)
        if kind == answers.NPZ:
            return _with_id(answers.npz({output: result.arrays[output]}), result.id)
        grid = answers.layer_grid(result.metadata, layer)
        poses = answers.layer_poses(result.metadata, layer, result.arrays)
        return _poses_json(result.id, result.model, layer, grid, poses)

    @router.post(
        "/predict",
        responses={200: arrays_too(PredictAnswer), **OF_IMAGES},
        openapi_extra={"requestBody": IMAGES_BODY, "parameters": [NAME, VERSION]},
    )
    async def predict(request: Request) -> Response:
        """Class activations and pose matrices of images."""
        choice = choice_of(request)
        kind = answers.choose_type(request)
        outputs = None if kind == answers.NPZ else ["activations", "poses"]
        with service.repository.use(choice.model, choice.version) as served:
            result = await run(request, served, outputs)
        if kind == answers.NPZ:
            return _with_id(await service.decoder.apart(answers.npz, dict(result.arrays)), result.id)
        predictions = answers.predictions(result.metadata, result.arrays)
        return answers.json({"id": result.id, "model": result.model, "predictions": predictions})

    @router.post(
        "/poses",
        responses={200: arrays_too(PosesAnswer), **OF_IMAGES},
        openapi_extra={"requestBody": IMAGES_BODY, "parameters": [LAYER, NAME, VERSION]},
    )
    async def poses(request: Request) -> Response:
        """Pose matrices alone, of any layer of capsules."""
        choice = choice_of(request)
        kind, layer = answers.choose_type(request), choice.layer
        outputs = list({"poses", answers.layer_output(layer)})  # those of the classes are kept
        with service.repository.use(choice.model, choice.version) as served:
            answers.layer_grid(served.metadata, layer)  # refuse before the work, not after
            result = await run(request, served, outputs)
        # A layer's poses are up to megabytes of text per sample.
        return await service.decoder.apart(poses_answer, kind, result, layer)

    @router.get("/poses/{id}", responses={200: arrays_too(PosesAnswer), **problems([401, 404, 406, 503])})
    async def kept_poses(request: Request, id: str) -> Response:
        """The class poses of an earlier prediction, while they are kept."""
        kind = answers.choose_type(request)
        kept = await service.kept.find(id, owner_of(request))
        if kind == answers.NPZ:
            return _with_id(answers.npz({"poses": kept.poses}), kept.id)
        poses = answers.class_poses(kept.classes, kept.poses)
        return _poses_json(kept.id, kept.model, CLASS_LAYER, CLASS_GRID, poses)

    return router


def _poses_json(id_: str, model: dict[str, Any], layer: str, grid: tuple[int, int], poses: Sequence[Any]) -> Response:
    predictions = [{"poses": of_sample} for of_sample in poses]
    return answers.json({"id": id_, "model": model, "layer": layer, "grid": grid, "predictions": predictions})


def _with_id(response: Response, id_: str) -> Response:
    """npz has no place for an id of text, so it goes into a header."""
    response.headers["X-Prediction-Id"] = id_
    return response
