"""Every error as an answer: problem+json (RFC 9457), and never a path or a traceback."""

import logging
import math
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service import answers
from service.errors import STATUS, QueueFullError, ServiceError

log = logging.getLogger("emcaps")


def answer_errors(app: FastAPI) -> None:
    """Answer whatever a route raises."""

    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> Response:
        status = HTTPStatus(STATUS[type(error)])
        headers = None
        if isinstance(error, QueueFullError):
            headers = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
        return answers.problem(status, status.phrase, str(error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answers.problem(400, HTTPStatus(400).phrase, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        phrase = HTTPStatus(error.status_code).phrase
        return answers.problem(error.status_code, phrase, str(error.detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return answers.problem(400, HTTPStatus(400).phrase, "the client went away")  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answers.problem(500, HTTPStatus(500).phrase, "the service failed on this request")
