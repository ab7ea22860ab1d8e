"""Reads the rest of a request's body before an early response, so that the client gets the response."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matcaps.service.http.headers import headers_of


class DiscardBodyMiddleware:
    """Reads and discards what is left of a request's body before the response starts.

    If a server responds and closes while bytes still arrive, the kernel resets the connection. The client then sees
    the reset and not the response. The time for this is limited. The bytes are not, because they are not kept.

    Args:
        app: The application inside.
        longest_s: Longest time from a request's headers to the end of its body, in seconds.
        pause_s: Longest wait for the next bytes, in seconds.
    """

    def __init__(self, app: ASGIApp, longest_s: float, pause_s: float = 2.0) -> None:
        self._app, self._longest_s, self._pause_s = app, longest_s, pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(headers := headers_of(scope)):
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        until = clock() + self._longest_s
        arrives, ended = b"expect" not in headers, False  # after "Expect", a body arrives once it is asked for

        async def receive_and_note() -> Message:
            nonlocal arrives, ended
            arrives = True
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def discard_rest() -> None:
            try:
                while not ended and (left_s := until - clock()) > 0:
                    async with asyncio.timeout(min(left_s, self._pause_s)):
                        await receive_and_note()
            except TimeoutError:
                pass  # a client this slow may miss the response

        async def send_after_body(message: Message) -> None:
            if arrives and not ended and message["type"] == "http.response.start":
                await discard_rest()
            await send(message)

        await self._app(scope, receive_and_note, send_after_body)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
