"""``/health``: whether the process lives, and whether requests may come. ``/v2`` shares the two checks."""

from typing import Any

from fastapi import APIRouter

from matcaps.service.engine.engine import Engine
from matcaps.service.errors import NotReadyError
from matcaps.service.http.openapi import problems
from matcaps.service.http.schemas import Health


def check_live(engine: Engine) -> None:
    """Raise NotReadyError unless every network's threads still run."""
    if not engine.alive:
        raise NotReadyError("a thread of a network has ended")


def check_ready(engine: Engine) -> None:
    """Raise NotReadyError unless requests may come and the default model can answer them."""
    if not engine.ready:
        raise NotReadyError("the service is starting or draining, or the default model is not loaded")


def health_routes(engine: Engine) -> APIRouter:
    """Routes that need no API key: orchestrators and load balancers ask them."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", response_model=Health, responses=problems([503]))
    async def live() -> Any:
        """Whether the process answers, and every network's threads still run."""
        check_live(engine)
        return {"status": "live"}

    @router.get("/ready", response_model=Health, responses=problems([503]))
    async def ready() -> Any:
        """Whether requests may come."""
        check_ready(engine)
        return {"status": "ready"}

    return router
