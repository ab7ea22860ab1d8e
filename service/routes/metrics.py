"""``/metrics`` for Prometheus."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from matcaps.service.http.openapi import problems

# The metrics as text, and its media type, for a client that accepts some media types.
Exposition = Callable[[str], Awaitable[tuple[bytes, str]]]


def metrics_routes(exposition: Exposition) -> APIRouter:
    """The route that a monitor scrapes every few seconds."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}, **problems([401])},
    )
    async def metrics(request: Request) -> Response:
        """Counters, gauges and histograms in Prometheus' text format, or in OpenMetrics if the client accepts it."""
        content, kind = await exposition(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": kind})

    return router
