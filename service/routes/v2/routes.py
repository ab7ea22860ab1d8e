"""The router of ``/v2``."""

from fastapi import APIRouter

from matcaps.service.engine.engine import Engine
from matcaps.service.http.openapi import v2_errors
from matcaps.service.images.pool import DecoderPool
from matcaps.service.routes.v2.config import config_routes
from matcaps.service.routes.v2.infer import infer_routes
from matcaps.service.routes.v2.models import model_routes
from matcaps.service.routes.v2.repository import repository_routes
from matcaps.service.settings import Settings


def v2_routes(engine: Engine, decoder: DecoderPool, settings: Settings) -> APIRouter:
    """All routes of the protocol. They answer JSON, errors included: ``{"error": …}``."""
    router = APIRouter(tags=["Open Inference Protocol"], responses=v2_errors())
    for routes in (
        model_routes(engine),
        config_routes(engine, settings),
        repository_routes(engine, settings),
        infer_routes(engine, decoder, settings),
    ):
        router.include_router(routes)
    return router
