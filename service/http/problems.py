"""Responses to errors: problem+json (RFC 9457), under /v2 the protocol's form. They show no paths and no tracebacks."""

import logging
import math
import re
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from matcaps.service.errors import STATUS, QueueFullError, ServiceError, UnauthorizedError
from matcaps.service.http import responses
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.middleware.root_path import path_of

log = logging.getLogger("matcaps")


def problem_of(request: HTTPConnection, error: ServiceError) -> Response:
    """The response to a refused request; notes the reason in its context."""
    context_of(request).reason = _reason(error)
    status = STATUS[type(error)]
    headers = {}
    if isinstance(error, QueueFullError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    return _problem(request, status, str(error), headers)


def add_error_handlers(app: FastAPI) -> None:
    """Respond to every exception that a route raises."""

    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> Response:
        return problem_of(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        context_of(request).reason = "malformed"
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(request, 400, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        context_of(request).reason = "not_found" if error.status_code == 404 else "malformed"
        headers = dict(error.headers) if error.headers else None
        if headers and headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"
        return _problem(request, error.status_code, str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(request: Request, _: ClientDisconnect) -> Response:
        context_of(request).reason = "gone"
        return _problem(request, 400, "the client disconnected")  # for the log: the client cannot read it

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, path_of(request.scope), exc_info=error)
        return _problem(request, 500, "the service failed on this request")


def _problem(request: HTTPConnection, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    path = path_of(request.scope)
    if path == "/v2" or path.startswith("/v2/"):
        return responses.json({"error": responses.text(detail)}, status, headers)
    return responses.problem(status, HTTPStatus(status).phrase, detail, headers)


def _reason(error: ServiceError) -> str:
    """The error's name as a label of metrics: queue_full, expired, …"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
