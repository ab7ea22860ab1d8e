"""One X-Request-Id per response."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from deploy.ray.request_id import OneRequestId


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"x-request-id", b"a"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"yes"})


def test_the_request_id_is_left_to_the_proxy() -> None:
    """Other headers and the body pass unchanged."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(OneRequestId(answer)({"type": "http"}, receive, send))
    assert sent[0]["headers"] == [(b"content-type", b"text/plain")]
    assert sent[1] == {"type": "http.response.body", "body": b"yes"}
