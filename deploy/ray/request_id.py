"""Keeps a response from having two ``X-Request-Id`` headers."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAME = b"x-request-id"


class OneRequestId:
    """Removes the header, because Serve's proxy always writes it (and makes an id where the client sent none).

    Args:
        app: The application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, value) for name, value in message["headers"] if name.lower() != NAME]
            await send(message)

        await self._app(scope, receive, send_without)
