"""Every error as an answer: problem+json (RFC 9457), and never a path or a traceback."""

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
from matcaps.service.http import responses as answers
from matcaps.service.http.middleware.request_context import context_of

log = logging.getLogger("matcaps")


def refusal(request: HTTPConnection, error: ServiceError) -> Response:
    """The answer that an error is."""
    context_of(request).reason = _reason(error)
    status = STATUS[type(error)]
    headers = {}
    if isinstance(error, QueueFullError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    return _answer(request, status, str(error), headers)


def _answer(request: HTTPConnection, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A problem; under /v2 what the protocol has for it."""
    path = request.scope["path"]
    if path == "/v2" or path.startswith("/v2/"):
        return answers.json({"error": answers.text(detail)}, status, headers)
    return answers.problem(status, HTTPStatus(status).phrase, detail, headers)


def answer_errors(app: FastAPI) -> None:
    """Answer whatever a route raises."""

    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> Response:
        return refusal(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        context_of(request).reason = "malformed"
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _answer(request, 400, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        context_of(request).reason = "not_found" if error.status_code == 404 else "malformed"
        headers = dict(error.headers) if error.headers else None
        return _answer(request, error.status_code, str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: ClientDisconnect) -> Response:
        context_of(request).reason = "gone"
        return _answer(request, 400, "the client went away")  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _answer(request, 500, "the service failed on this request")


def _reason(error: ServiceError) -> str:
    """The name of an error for whoever counts it: queue_full, expired, …"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
