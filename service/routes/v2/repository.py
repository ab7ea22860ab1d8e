"""``/v2/repository``: the index of the model repository, and loading and unloading of models."""

import asyncio

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.engine.engine import Engine
from matcaps.service.errors import ForbiddenError, MalformedError
from matcaps.service.http import responses
from matcaps.service.http.body import read_body
from matcaps.service.routes.v2.paths import PREFIX
from matcaps.service.settings import Settings


def repository_routes(engine: Engine, settings: Settings) -> APIRouter:
    """The routes of the model repository."""
    router = APIRouter(prefix=PREFIX + "/repository")

    @router.post("/index")
    async def index(request: Request) -> Response:
        """All versions in the folder, refused ones with their reasons; with ``ready`` only those that serve."""
        models = engine.models()
        rows: list[tuple[str, int | str, str, str]] = [
            (version.name, version.version, "READY", "") for version in models.loaded
        ]
        if not await _only_ready(request, settings):
            rows += [(name, version, "UNAVAILABLE", reason) for name, version, reason in models.refused]
            rows += [(name, version, "UNAVAILABLE", "unloaded") for name, version in models.unloaded]
        return responses.json(
            [
                {"name": name, "version": str(version), "state": state, "reason": reason}
                for name, version, state, reason in sorted(rows, key=_place)
            ]
        )

    @router.post("/models/{name}/load")
    async def load(name: str) -> Response:
        """Load all versions of a model again."""
        _check_control(settings)
        await asyncio.to_thread(engine.load, name)
        return responses.json({})

    @router.post("/models/{name}/unload")
    async def unload(name: str) -> Response:
        """Stop serving a model until it is loaded again."""
        _check_control(settings)
        await asyncio.to_thread(engine.unload, name)
        return responses.json({})

    return router


def _place(row: tuple[str, int | str, str, str]) -> tuple[str, bool, int | str]:
    """Sorts by name and version; folders that name no version come last."""
    return row[0], isinstance(row[1], str), row[1]


async def _only_ready(request: Request, settings: Settings) -> bool:
    """The field ``ready`` of the body; false without a body."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return False
    try:
        content = orjson.loads(await read_body(request, settings))
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    ready = content.get("ready") if isinstance(content, dict) else content
    if ready is None:  # of the field or of the body: clients send null for what they leave out
        return False
    if not isinstance(ready, bool):
        raise MalformedError('the body must be {"ready": true} for the versions that serve, or absent')
    return ready


def _check_control(settings: Settings) -> None:
    if not settings.model_control:
        raise ForbiddenError("loading and unloading over HTTP is off; MATCAPS_MODEL_CONTROL=1 turns it on")
