"""The rest of a body is read before an early response, within limits."""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

from matcaps.service.http.middleware.discard_body import DiscardBodyMiddleware


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that responds without reading."""
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def count_read(headers: Iterable[tuple[bytes, bytes]], pieces: int, most_bytes: int) -> int:
    """The number of pieces of 10 bytes that are read before the response starts."""
    read_before_answer: list[int] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": bytes(10), "more_body": read < pieces}

    async def send(message: Message) -> None:
        read_before_answer.append(read)

    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(DiscardBodyMiddleware(refuse, most_bytes)(scope, receive, send))
    return read_before_answer[0]


def test_the_rest_of_a_body_is_read() -> None:
    """With a length and without one."""
    assert count_read([(b"content-length", b"50")], 5, 1000) == 5
    assert count_read([(b"transfer-encoding", b"chunked")], 5, 1000) == 5


def test_the_discarded_bytes_are_limited() -> None:
    """A body that never ends is not read for ever."""
    assert count_read([(b"transfer-encoding", b"chunked")], 10**9, 100) == 10


def test_nothing_is_read_without_a_body() -> None:
    """Requests without a body, or with one that waits for 100 Continue, get the response at once."""
    assert count_read([], 5, 1000) == 0
    assert count_read([(b"content-length", b"0")], 5, 1000) == 0
    assert count_read([(b"content-length", b"50"), (b"expect", b"100-continue")], 5, 1000) == 0


def test_the_time_for_discarding_is_limited() -> None:
    """A client that stops sending delays its own response for a moment only."""
    answered: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "headers": [(b"content-length", b"50")]}
    asyncio.run(DiscardBodyMiddleware(refuse, 1000, longest_s=0.01)(scope, never, send))
    assert [message["type"] for message in answered] == ["http.response.start", "http.response.body"]
