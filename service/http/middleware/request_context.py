"""What is known of each request: its id, its times, its line in the log, and what is counted of it."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matcaps.service.engine.queue import ORIGIN
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.telemetry.traces import Traces

CONTEXT = "matcaps.record"  # its place in the scope of a request
QUIET = ("/health/", "/v2/health/", "/metrics")  # asked every few seconds, and worth a line only when they fail
REQUEST_ID = re.compile(r"[!-~]{1,128}")


@dataclass
class RequestContext:
    """What comes to be known of a request while it is answered.

    Attributes:
        id: From ``X-Request-Id``, or made up.
        model: Name of the model that answered; empty where none did.
        images: Samples that it answered.
        reason: Why the answer is not the one asked for; empty where it is.
        decode_began_s: When its images were there to be decoded, on the clock of ``RequestContextMiddleware``.
        decode_s: Seconds that its images took to decode.
        queue_s: Seconds until a batch took its first sample.
        inference_s: Seconds from then on until its last batch had run.
    """

    id: str
    model: str = ""
    images: int = 0
    reason: str = ""
    decode_began_s: float = 0.0
    decode_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0


def context_of(request: HTTPConnection) -> RequestContext:
    """The record of a request that ``RequestContextMiddleware`` let through."""
    record = request.scope[CONTEXT]
    assert isinstance(record, RequestContext)
    return record


class RequestContextMiddleware:
    """Gives each request an id, and tells the log and the metrics when it has been answered.

    Args:
        app: The application around which this stands.
        metrics: What is counted.
        log: Takes a line for each request.
        traces: Takes its spans, if anybody wants them.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        log: Any,
        traces: Traces | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app, self._metrics, self._log, self._traces, self._clock = app, metrics, log, traces, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        record = scope[CONTEXT] = RequestContext(_request_id(scope))
        structlog.contextvars.bind_contextvars(request_id=record.id)
        trace = None
        if self._traces is not None and not scope["path"].startswith(QUIET):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            trace = self._traces.begin(scope["method"], headers, began)
            ORIGIN.set(trace.origin)
        status = 500  # of what fails before it is answered

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timing = _timing(record, self._clock() - began)
                own = [(b"x-request-id", record.id.encode()), (b"server-timing", timing.encode())]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            taken_s = self._clock() - began
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, record.model, status).inc()
            self._metrics.request_seconds.labels(route).observe(taken_s)
            if trace is not None:
                trace.end(record, route, status, began + taken_s)
            if record.reason:
                self._metrics.unanswered.labels(record.reason).inc()
            if status >= 400 or not scope["path"].startswith(QUIET):
                self._say(scope, record, status, taken_s)

    def _say(self, scope: Scope, record: RequestContext, status: int, taken_s: float) -> None:
        known: dict[str, Any] = {"model": record.model, "images": record.images, "reason": record.reason}
        (self._log.error if status >= 500 else self._log.info)(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(1e3 * taken_s, 3),
            **{name: value for name, value in known.items() if value},
        )


def _request_id(scope: Scope) -> str:
    """What the caller calls its request, if that can be written into a header and a log; else a name of ours."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if REQUEST_ID.fullmatch(text):
                return str(text)
    return f"{random.getrandbits(128):032x}"  # a name and no secret: the system's generator would cost a call


def _timing(record: RequestContext, total_s: float) -> str:
    """The times of a request as ``Server-Timing`` has them (W3C), in milliseconds."""
    parts = {"decode": record.decode_s, "queue": record.queue_s, "inference": record.inference_s}
    known = {name: seconds for name, seconds in parts.items() if seconds}
    return ", ".join(f"{name};dur={1e3 * seconds:.3f}" for name, seconds in {**known, "total": total_s}.items())
