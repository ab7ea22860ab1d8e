"""Those who wait for an answer: how long they will, and whether they are still there."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from matcaps.service.errors import MalformedError

T = TypeVar("T")

PATIENCE_S = 0.005  # nobody who goes away sooner is worth noticing
TIMEOUT_HEADER = "x-request-timeout-ms"


def wait_of(request: Request, longest_ms: float) -> float:
    """Milliseconds that a request may wait: what ``X-Request-Timeout-Ms`` says, and no longer than the setting.

    Raises:
        MalformedError: The header is no positive number.
    """
    asked = request.headers.get(TIMEOUT_HEADER)
    if asked is None:
        return longest_ms
    try:
        milliseconds = float(asked)
    except ValueError:
        milliseconds = math.nan
    if not milliseconds > 0:
        raise MalformedError(f"X-Request-Timeout-Ms must be a positive number, found {asked[:40]!r}")
    return min(milliseconds, longest_ms)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work for a request whose body has been read; the work is cancelled if its caller goes away.

    Raises:
        ClientDisconnect: The caller has gone.
    """
    task = asyncio.current_task()
    assert task is not None
    watch: asyncio.Task[None] | None = None
    working, left = True, False

    def begin() -> None:
        nonlocal watch
        watch = asyncio.ensure_future(_gone(request))
        watch.add_done_callback(leave)

    def leave(gone: asyncio.Task[None]) -> None:
        nonlocal left
        if working and not gone.cancelled():
            left = True
            task.cancel()

    # Most answers are there before watching has cost anything.
    timer = asyncio.get_running_loop().call_later(PATIENCE_S, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        working = False
        timer.cancel()
        if watch is not None:
            watch.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
