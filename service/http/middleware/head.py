"""Answers HEAD wherever GET is answered."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadMiddleware:
    """Hands a HEAD request to the routes as GET, because FastAPI's routes know no HEAD.

    The server sends status and headers of the answer, and drops its body.

    Args:
        app: The application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}  # a copy: the server looks at the method of its own
        try:
            await self._app(inner, receive, send)
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]  # for metrics and traces
