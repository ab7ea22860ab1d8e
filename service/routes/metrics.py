"""``/metrics``: for Prometheus."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder

from matcaps.service.http.openapi import problems
from matcaps.service.service import Service


def metrics_routes(service: Service) -> APIRouter:
    """The route that a monitor reads every few seconds."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}, **problems([401])},
    )
    async def metrics(request: Request) -> Response:
        """Counters, gauges and histograms in Prometheus' text format, or in OpenMetrics' where that is accepted."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(service.metrics.registry), headers={"content-type": kind})

    return router
