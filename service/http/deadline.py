"""Request deadlines and client disconnects."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from matcaps.service.errors import MalformedError
from matcaps.service.http.headers import header_of, headers_of

T = TypeVar("T")

TIMEOUT_HEADER = b"x-request-timeout-ms"
WATCH_AFTER_S = 0.05  # shorter requests are not watched: to watch one costs more than to decode a small image


def timeout_of(request: Request, longest_ms: float) -> float:
    """Milliseconds that a request may wait: what ``X-Request-Timeout-Ms`` says, and at most the setting.

    Raises:
        MalformedError: The header is not a positive number.
    """
    if TIMEOUT_HEADER not in headers_of(request.scope):
        return longest_ms
    asked = header_of(request.scope, TIMEOUT_HEADER)
    try:
        milliseconds = float(asked)
    except ValueError:
        milliseconds = math.nan
    if not milliseconds > 0:
        raise MalformedError(f"X-Request-Timeout-Ms must be a positive number, got {asked[:40]!r}")
    return min(milliseconds, longest_ms)


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work for a request whose body has been read; cancels the work if the client disconnects.

    Raises:
        ClientDisconnect: The client has disconnected.
    """
    watcher = _Watcher(request, asyncio.current_task())
    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watcher.start)
    try:
        return await work
    except asyncio.CancelledError:
        if watcher.disconnected and not watcher.task.uncancel():  # otherwise it was cancelled from outside, too
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        watcher.stop()


class _Watcher:
    """Cancels a task when its client disconnects."""

    def __init__(self, request: Request, task: "asyncio.Task[Any] | None") -> None:
        assert task is not None
        self.task, self.disconnected = task, False
        self._request = request
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # otherwise the two refer to each other, and wait for the garbage collector

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.disconnected = True
        self.task.cancel()
