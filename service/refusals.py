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

from service import answers
from service.errors import STATUS, QueueFullError, ServiceError, UnauthorizedError
from service.watch import record_of

log = logging.getLogger("emcaps")


def refusal(request: HTTPConnection, error: ServiceError) -> Response:
    """The answer that an error is."""
    record_of(request).reason = _reason(error)
    status = HTTPStatus(STATUS[type(error)])
    headers = {}
    if isinstance(error, QueueFullError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    return answers.problem(status, status.phrase, str(error), headers)


def answer_errors(app: FastAPI) -> None:
    """Answer whatever a route raises."""

    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> Response:
        return refusal(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        record_of(request).reason = "malformed"
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answers.problem(400, HTTPStatus(400).phrase, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        record_of(request).reason = "unknown" if error.status_code == 404 else "malformed"
        headers = dict(error.headers) if error.headers else None
        phrase = HTTPStatus(error.status_code).phrase
        return answers.problem(error.status_code, phrase, str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: ClientDisconnect) -> Response:
        record_of(request).reason = "gone"
        return answers.problem(400, HTTPStatus(400).phrase, "the client went away")  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answers.problem(500, HTTPStatus(500).phrase, "the service failed on this request")


def _reason(error: ServiceError) -> str:
    """The name of an error for whoever counts it: queue_full, expired, …"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
