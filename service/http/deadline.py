"""Request deadlines and client disconnects."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from matcaps.service.errors import MalformedError

T = TypeVar("T")

TIMEOUT_HEADER = "x-request-timeout-ms"
WATCH_AFTER_S = 0.005  # shorter requests are not watched, so they pay nothing for it


def timeout_of(request: Request, longest_ms: float) -> float:
    """Milliseconds that a request may wait: what ``X-Request-Timeout-Ms`` says, and at most the setting.

    Raises:
        MalformedError: The header is not a positive number.
    """
    asked = request.headers.get(TIMEOUT_HEADER)
    if asked is None:
        return longest_ms
    try:
        milliseconds = float(asked)
    except ValueError:
        milliseconds = math.nan
    if not milliseconds > 0:
        raise MalformedError(f"X-Request-Timeout-Ms must be a positive number, got {asked[:40]!r}")
    return min(milliseconds, longest_ms)


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work for a request whose body has been read; cancels the work if the client disconnects.

    ``asyncio.timeout`` cancels the work, and tells this cancellation from one that comes from outside. It has no time
    limit of its own: the disconnect makes it expire.

    Raises:
        ClientDisconnect: The client has disconnected.
    """
    loop, watchers = asyncio.get_running_loop(), list[asyncio.Task[None]]()
    connected = asyncio.timeout(None)
    timer = loop.call_later(WATCH_AFTER_S, lambda: watchers.append(loop.create_task(_watch(request, connected))))
    try:
        async with connected:
            return await work
    except TimeoutError:
        if connected.expired():
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        for watcher in watchers:
            watcher.cancel()


async def _watch(request: Request, connected: asyncio.Timeout) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    connected.reschedule(-math.inf)
