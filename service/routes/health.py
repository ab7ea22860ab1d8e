"""``/health``: whether the process lives, and whether requests may come."""

from typing import Any

from fastapi import APIRouter

from matcaps.service.errors import NotReadyError
from matcaps.service.http.openapi import problems
from matcaps.service.http.schemas import Health
from matcaps.service.service import Service


def health_routes(service: Service) -> APIRouter:
    """Routes that need no key: an orchestrator asks them, a balancer by HEAD perhaps."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.head("/live", include_in_schema=False)
    @router.get("/live", response_model=Health, responses=problems([503]))
    async def live() -> Any:
        """Whether the process answers, and every network's thread still runs."""
        if not service.alive:
            raise NotReadyError("a network's thread has ended")
        return {"status": "live"}

    @router.head("/ready", include_in_schema=False)
    @router.get("/ready", response_model=Health, responses=problems([503]))
    async def ready() -> Any:
        """Whether requests are taken."""
        if not service.ready:
            raise NotReadyError("the service is starting or draining, or the default model is not loaded")
        return {"status": "ready"}

    return router
