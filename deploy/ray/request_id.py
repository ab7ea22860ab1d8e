"""One ``X-Request-Id`` in an answer, where two would write it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAME = b"x-request-id"


class OneRequestId:
    """Leaves the header to Serve's proxy, which makes up the id if the caller did not, and always writes it.

    Args:
        app: The application around which this stands.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, value) for name, value in message["headers"] if name.lower() != NAME]
            await send(message)

        await self._app(scope, receive, send_without)
