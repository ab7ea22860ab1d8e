"""Request deadlines and client disconnects."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from matcaps.service.errors import MalformedError
from matcaps.service.http import deadline
from matcaps.service.http.deadline import cancel_on_disconnect, timeout_of

LIMIT_S = 30.0


class Connection:
    """A client that stays connected until a test says otherwise."""

    def __init__(self) -> None:
        self.disconnected = asyncio.Event()
        self.received = 0

    async def receive(self) -> Message:
        self.received += 1
        await self.disconnected.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work that lasts until a test ends it."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> str:
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"


def request_of(receive: Callable[[], Awaitable[Message]], timeout: str | None = None) -> Request:
    """A request without a body."""
    headers = [] if timeout is None else [(b"x-request-timeout-ms", timeout.encode())]
    return Request({"type": "http", "headers": headers}, receive)


async def started(connection: Connection, work: Work) -> "asyncio.Task[str]":
    """Work that lasts so long that its client is watched."""
    task = asyncio.create_task(cancel_on_disconnect(request_of(connection.receive), work()))
    async with asyncio.timeout(LIMIT_S):
        while not connection.received:
            await asyncio.sleep(deadline.WATCH_AFTER_S)
    return task


@pytest.mark.anyio
async def test_short_work_is_not_watched() -> None:
    """Nothing is received for it."""
    connection, work = Connection(), Work()
    work.may_end.set()
    assert await cancel_on_disconnect(request_of(connection.receive), work()) == "done"
    await asyncio.sleep(2 * deadline.WATCH_AFTER_S)
    assert connection.received == 0


@pytest.mark.anyio
async def test_long_work_ends_with_its_result() -> None:
    """The watcher ends with it."""
    connection, work = Connection(), Work()
    before = asyncio.all_tasks()
    task = await started(connection, work)
    work.may_end.set()
    assert await task == "done"
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_a_disconnect_cancels_the_work() -> None:
    """The caller gets ClientDisconnect, and is not cancelled itself."""
    connection, work = Connection(), Work()

    async def serve() -> str:
        try:
            return await cancel_on_disconnect(request_of(connection.receive), work())
        except ClientDisconnect:
            await asyncio.sleep(0)  # would raise if the task were still being cancelled
            return "disconnected"

    task = asyncio.create_task(serve())
    connection.disconnected.set()
    async with asyncio.timeout(LIMIT_S):
        assert await task == "disconnected"
    assert work.cancelled
    assert task.cancelling() == 0


@pytest.mark.anyio
async def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    """The work is cancelled, and no ClientDisconnect is raised, even if the client disconnects as well."""
    for disconnects in (False, True):
        connection, work = Connection(), Work()
        task = await started(connection, work)
        if disconnects:
            connection.disconnected.set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.cancelled


@pytest.mark.parametrize("error", [TimeoutError("its own"), ValueError("no")])
@pytest.mark.anyio
async def test_an_error_of_the_work_is_raised(error: Exception) -> None:
    """A TimeoutError is not taken for a disconnect."""

    async def fail() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        await cancel_on_disconnect(request_of(Connection().receive), fail())


@pytest.mark.parametrize(
    ("asked", "found"), [(None, 1000.0), ("5", 5.0), ("0.5", 0.5), ("1e9", 1000.0), ("inf", 1000.0)]
)
def test_a_client_may_ask_for_less_time_than_the_setting(asked: str | None, found: float) -> None:
    """The shorter one counts."""
    assert timeout_of(request_of(Connection().receive, asked), 1000.0) == found


@pytest.mark.parametrize("asked", ["0", "-5", "soon", "nan", ""])
def test_a_timeout_must_be_a_positive_number(asked: str) -> None:
    """The error quotes what came."""
    with pytest.raises(MalformedError, match=f"must be a positive number, got '{asked}'"):
        timeout_of(request_of(Connection().receive, asked), 1000.0)


@pytest.mark.anyio
async def test_a_watched_request_leaves_no_garbage() -> None:
    """Reference cycles in each request would cost a tenth of the requests per second."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        connection, work = Connection(), Work()
        task = await started(connection, work)
        work.may_end.set()
        await task
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert not [found for found in gc.garbage if isinstance(found, deadline._Watcher)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
