"""The outermost middleware: creates the context of each request, and reports it when it has been answered."""

import random
import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matcaps.service.engine.context import RequestContext
from matcaps.service.http.headers import header_of
from matcaps.service.http.middleware.root_path import path_of
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.telemetry.traces import RequestTrace, Traces

CONTEXT = "matcaps.context"  # key in the scope of a request
QUIET = ("/health/", "/v2/health/", "/metrics")  # polled every few seconds: logged only when they fail, never traced
REQUEST_ID = re.compile(r"[!-~]{1,128}")


def context_of(request: HTTPConnection) -> RequestContext:
    """The context of a request that passed ``RequestContextMiddleware``."""
    context = request.scope[CONTEXT]
    assert isinstance(context, RequestContext)
    return context


class RequestContextMiddleware:
    """Gives each request a context, and reports it to the log, the metrics and the traces.

    Args:
        app: The application inside.
        metrics: Counts requests.
        log: Gets one line per request.
        traces: Gets one span per request; None without tracing.
        clock: The clock of the context's times, in seconds.
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
        context = scope[CONTEXT] = RequestContext(_request_id(scope))
        structlog.contextvars.bind_contextvars(request_id=context.id)
        trace = self._begin_trace(scope, began)
        if trace is not None:
            context.trace_link = trace.link
        status = 500  # for a failure before the response

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timing = _timing(context, self._clock() - began)
                own = [(b"x-request-id", context.id.encode()), (b"server-timing", timing.encode())]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            taken_s = self._clock() - began
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, context.model, status, taken_s)
            if trace is not None:
                trace.end(context, route, status, began + taken_s)
            if context.reason:
                self._metrics.unanswered.labels(context.reason).inc()
            if status >= 400 or not path_of(scope).startswith(QUIET):
                self._log_request(scope, context, status, taken_s)

    def _begin_trace(self, scope: Scope, began: float) -> RequestTrace | None:
        if self._traces is None or path_of(scope).startswith(QUIET):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return self._traces.begin(scope["method"], headers, began)

    def _log_request(self, scope: Scope, context: RequestContext, status: int, taken_s: float) -> None:
        known: dict[str, Any] = {"model": context.model, "images": context.images, "reason": context.reason}
        (self._log.error if status >= 500 else self._log.info)(
            "request",
            method=scope["method"],
            path=path_of(scope),
            status=status,
            milliseconds=round(1e3 * taken_s, 3),
            **{name: value for name, value in known.items() if value},
        )


def _request_id(scope: Scope) -> str:
    """The client's id if it is safe in a header and a log line; otherwise a new one."""
    text = header_of(scope, b"x-request-id")
    if REQUEST_ID.fullmatch(text):
        return text
    return f"{random.getrandbits(128):032x}"  # not a secret: the system's generator would cost a system call


def _timing(context: RequestContext, total_s: float) -> str:
    """The times of a request in milliseconds, in the form of ``Server-Timing`` (W3C)."""
    parts = {"decode": context.decode_s, "queue": context.queue_s, "inference": context.inference_s}
    known = {name: seconds for name, seconds in parts.items() if seconds}
    entries = {name: f"{name};dur={1e3 * seconds:.3f}" for name, seconds in {**known, "total": total_s}.items()}
    if "inference" in entries:
        entries["inference"] += f";desc={context.backend}"
    return ", ".join(entries.values())
