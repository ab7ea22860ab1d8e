"""The HTTP service: routes, and what each does with the parts that it is given."""

import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service import answers
from service.artefact import CLASS_LAYER
from service.batcher import Batcher
from service.caller import unless_gone, wait_of
from service.drain import Drain
from service.errors import STATUS, NotReadyError, QueueFullError, ServiceError
from service.inference import Inference
from service.intake import read_images
from service.openapi import IMAGES_BODY, DocumentedAPI, arrays_too, problems
from service.poses import KeptPoses
from service.queue import Queue
from service.repository import Repository
from service.schemas import Health, ModelAnswer, ModelsAnswer, PosesAnswer, PredictAnswer
from service.session import Arrays, Session
from service.settings import Settings

log = logging.getLogger("emcaps")

Name = Annotated[str | None, Query(description="Name of a model; the default one if absent")]
Version = Annotated[int | None, Query(ge=1, description="Version of the model; the highest if absent")]
LayerName = Annotated[str, Query(description="A layer of capsules, as GET /models/{name} lists them")]

OF_IMAGES = problems([400, 404, 406, 408, 413, 415, 422, 429, 503, 504])


def create_app(settings: Settings, repository: Repository, clock: Callable[[], float] = time.monotonic) -> FastAPI:
    """The service over the models of a repository."""
    sessions = [session for versions in repository.sessions.values() for session in versions.values()]
    inference = Inference(
        max_pixels=settings.max_pixels,
        batchers=[(session, Batcher(session, _queue(settings), clock)) for session in sessions],
    )
    kept = KeptPoses(settings.kept_poses, settings.kept_poses_s, clock)
    ready = False

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal ready
        ready = True
        yield
        ready = False
        inference.close()

    app = DocumentedAPI(
        title="emcaps",
        summary="Matrix capsules with EM routing: images in, class activations and pose matrices out.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.add_middleware(Drain, most_bytes=2 * settings.max_body_bytes)
    _answer_errors(app)

    async def run(
        request: Request, name: str | None, version: int | None, outputs: Sequence[str] | None
    ) -> tuple[Any, Session, Arrays, str]:
        name, version, session = repository.find(name, version)
        contents = await read_images(request, settings)
        deadline_s = clock() + wait_of(request, settings.timeout_ms) / 1e3
        arrays = await unless_gone(request, inference.predict(session, contents, outputs, deadline_s))
        id_ = uuid.uuid4().hex
        model = {"name": name, "version": version}
        kept.keep(id_, (model, session, {"poses": arrays["poses"]}), samples=len(arrays["poses"]))
        return model, session, arrays, id_

    def poses_answer(kind: str, model: Any, session: Session, arrays: Arrays, id_: str, layer: str) -> Response:
        output = answers.layer_output(layer)
        if kind == answers.NPZ:
            return _with_id(answers.npz({output: arrays[output]}), id_)
        poses = answers.layer_poses(session.metadata, layer, arrays)
        return JSONResponse(
            {
                "id": id_,
                "model": model,
                "layer": layer,
                "grid": answers.layer_grid(session.metadata, layer),
                "predictions": [{"poses": of_sample} for of_sample in poses],
            }
        )

    @app.post(
        "/predict",
        responses={200: arrays_too(PredictAnswer), **OF_IMAGES},
        openapi_extra={"requestBody": IMAGES_BODY},
        tags=["capsules"],
    )
    async def predict(request: Request, model: Name = None, version: Version = None) -> Response:
        """Class activations and pose matrices of images."""
        kind = answers.choose_type(request)
        outputs = None if kind == answers.NPZ else ["activations", "poses"]
        found, session, arrays, id_ = await run(request, model, version, outputs)
        if kind == answers.NPZ:
            return _with_id(await inference.apart(answers.npz, dict(arrays)), id_)
        return JSONResponse({"id": id_, "model": found, "predictions": answers.predictions(session.metadata, arrays)})

    @app.post(
        "/poses",
        responses={200: arrays_too(PosesAnswer), **OF_IMAGES},
        openapi_extra={"requestBody": IMAGES_BODY},
        tags=["capsules"],
    )
    async def poses(
        request: Request, layer: LayerName = CLASS_LAYER, model: Name = None, version: Version = None
    ) -> Response:
        """Pose matrices alone, of any layer of capsules."""
        kind = answers.choose_type(request)
        _, _, session = repository.find(model, version)
        answers.layer_grid(session.metadata, layer)  # refuse before the work, not after
        outputs = list({"poses", answers.layer_output(layer)})  # those of the classes are kept
        found, session, arrays, id_ = await run(request, model, version, outputs)
        # A layer's poses are up to megabytes of text per sample.
        return await inference.apart(poses_answer, kind, found, session, arrays, id_, layer)

    @app.get("/poses/{id}", responses={200: arrays_too(PosesAnswer), **problems([404, 406])}, tags=["capsules"])
    async def kept_poses(request: Request, id: str) -> Response:
        """The class poses of an earlier prediction, while they are kept."""
        kind = answers.choose_type(request)
        model, session, arrays = kept.find(id)
        return poses_answer(kind, model, session, arrays, id, CLASS_LAYER)

    def describe(name: str, version: int, session: Session) -> dict[str, Any]:
        return {
            "name": name,
            "version": version,
            "versions": sorted(repository.sessions[name]),
            "default": name == repository.default,
            "provider": session.provider,
            **session.metadata.model_dump(mode="json"),
        }

    @app.get("/models", response_model=ModelsAnswer, responses=problems([406]), tags=["models"])
    async def models(request: Request) -> Any:
        """What is served."""
        answers.choose_type(request, [answers.JSON])
        return {"models": [describe(*repository.find(name)) for name in sorted(repository.sessions)]}

    @app.get("/models/{name}", response_model=ModelAnswer, responses=problems([400, 404, 406]), tags=["models"])
    async def model_of_name(request: Request, name: str, version: Version = None) -> Any:
        """One model: classes, image size, layers, training record, provider in use."""
        answers.choose_type(request, [answers.JSON])
        return describe(*repository.find(name, version))

    @app.get("/health/live", response_model=Health, responses=problems([503]), tags=["health"])
    async def live() -> Any:
        """Whether the process answers, and every network's thread still runs."""
        if not inference.alive:
            raise NotReadyError("a network's thread has ended")
        return {"status": "live"}

    @app.get("/health/ready", response_model=Health, responses=problems([503]), tags=["health"])
    async def is_ready() -> Any:
        """Whether requests are taken."""
        if not ready:
            raise NotReadyError("the service is starting or draining")
        return {"status": "ready"}

    return app


def _queue(settings: Settings) -> Queue:
    return Queue(max_batch=settings.max_batch, max_wait_s=settings.max_wait_ms / 1e3, max_waiting=settings.max_queue)


def _answer_errors(app: FastAPI) -> None:
    """Answer every error as problem+json."""

    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> Response:
        status = HTTPStatus(STATUS[type(error)])
        headers = None
        if isinstance(error, QueueFullError):
            headers = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
        return answers.problem(status, status.phrase, str(error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answers.problem(400, HTTPStatus(400).phrase, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        phrase = HTTPStatus(error.status_code).phrase
        return answers.problem(error.status_code, phrase, str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return answers.problem(400, HTTPStatus(400).phrase, "the client went away")  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answers.problem(500, HTTPStatus(500).phrase, "the service failed on this request")


def _with_id(response: Response, id_: str) -> Response:
    """npz has no place for an id of text, so it goes into a header."""
    response.headers["X-Prediction-Id"] = id_
    return response
