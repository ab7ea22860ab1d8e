"""Refusals that arrive: a caller who is still sending must hear the answer before the connection closes."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DiscardBodyMiddleware:
    """Reads what is left of a request's body, and drops it, before the answer starts.

    A server that answers and closes while bytes are still arriving makes the kernel reset the connection, and the
    reset overtakes the answer. What is read here is bounded in bytes and in time.

    Args:
        app: The application around which this stands.
        most_bytes: Of one body, that are read for nothing.
        longest_s: Time for that, in seconds.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, longest_s: float = 2.0) -> None:
        self._app, self._most_bytes, self._longest_s = app, most_bytes, longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _sends_body(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def watched_receive() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def drop_rest() -> None:
            dropped = 0
            try:
                async with asyncio.timeout(self._longest_s):
                    while not ended and dropped < self._most_bytes:
                        dropped += len((await watched_receive()).get("body", b""))
            except TimeoutError:
                pass  # the caller may miss the answer, but had its time

        async def drained_send(message: Message) -> None:
            if not ended and message["type"] == "http.response.start":
                await drop_rest()
            await send(message)

        await self._app(scope, watched_receive, drained_send)


def _sends_body(scope: Scope) -> bool:
    """Whether there is a body on its way; one that waits for "100 Continue" is not, until it is asked for."""
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    return announced and b"expect" not in headers
