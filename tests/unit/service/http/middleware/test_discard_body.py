"""The rest of a body is read before an early response, within a time limit."""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matcaps.service.http.middleware.discard_body import DiscardBodyMiddleware

CHUNKED = (b"transfer-encoding", b"chunked")
WAITS = (b"expect", b"100-continue")


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that responds without reading."""
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def read_and_refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads one piece, and then responds."""
    await receive()
    await refuse(scope, receive, send)


def count_read(
    headers: Iterable[tuple[bytes, bytes]], pieces: int, app: ASGIApp = refuse, longest_s: float = 30.0
) -> int:
    """The number of pieces that are read before the response starts."""
    read_before_answer: list[int] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": bytes(10), "more_body": read < pieces}

    async def send(message: Message) -> None:
        read_before_answer.append(read)

    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(DiscardBodyMiddleware(app, longest_s)(scope, receive, send))
    return read_before_answer[0]


def test_the_rest_of_a_body_is_read() -> None:
    """With a length and without one, however many bytes there are."""
    assert count_read([(b"content-length", b"50")], 5) == 5
    assert count_read([CHUNKED], 5000) == 5000


def test_the_time_for_a_body_is_limited() -> None:
    """A body that never ends is not read for ever."""
    assert 0 < count_read([CHUNKED], 10**9, longest_s=0.01) < 10**9


def test_nothing_is_read_after_the_time_of_a_body() -> None:
    """The response to a body that was too slow is not delayed again."""
    assert count_read([CHUNKED], 10**9, longest_s=-1.0) == 0


def test_nothing_is_read_without_a_body() -> None:
    """Requests without a body, or with one that waits for 100 Continue, get the response at once."""
    assert count_read([], 5) == 0
    assert count_read([(b"content-length", b"0")], 5) == 0
    assert count_read([(b"content-length", b"50"), WAITS], 5) == 0


def test_a_body_that_was_asked_for_is_read() -> None:
    """After 100 Continue the body arrives, and its rest is read."""
    assert count_read([CHUNKED, WAITS], 5, read_and_refuse) == 5


def test_a_pause_of_the_client_is_limited() -> None:
    """A client that stops sending delays its own response for a moment only."""
    answered: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "headers": [(b"content-length", b"50")]}
    asyncio.run(DiscardBodyMiddleware(refuse, 30.0, pause_s=0.01)(scope, never, send))
    assert [message["type"] for message in answered] == ["http.response.start", "http.response.body"]
