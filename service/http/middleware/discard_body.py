"""Reads the rest of a request's body before an early response, so that the client gets the response."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DiscardBodyMiddleware:
    """Reads and discards what is left of a request's body before the response starts.

    If a server responds and closes while bytes still arrive, the kernel resets the connection. The client then sees
    the reset and not the response. The bytes and the time for this are limited.

    Args:
        app: The application inside.
        most_bytes: Most bytes of one body that are discarded.
        longest_s: Longest time for that, in seconds.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, longest_s: float = 2.0) -> None:
        self._app, self._most_bytes, self._longest_s = app, most_bytes, longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _sends_body(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def receive_and_note_end() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def discard_rest() -> None:
            discarded = 0
            try:
                async with asyncio.timeout(self._longest_s):
                    while not ended and discarded < self._most_bytes:
                        discarded += len((await receive_and_note_end()).get("body", b""))
            except TimeoutError:
                pass  # a client this slow may miss the response

        async def send_after_body(message: Message) -> None:
            if not ended and message["type"] == "http.response.start":
                await discard_rest()
            await send(message)

        await self._app(scope, receive_and_note_end, send_after_body)


def _sends_body(scope: Scope) -> bool:
    """Whether a body arrives; one that waits for "100 Continue" does not, until it is asked for."""
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    return announced and b"expect" not in headers
