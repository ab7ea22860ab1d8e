"""Serves the application under a path of a proxy, whether or not the proxy removes that path."""

from starlette.types import ASGIApp, Receive, Scope, Send


def path_of(scope: Scope) -> str:
    """The path of a request as the routes name it, without the path of a proxy."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root_path) :] if root_path and path.startswith(root_path + "/") else path


class RootPathMiddleware:
    """Gives each request the form that ASGI asks for: the path of the proxy as ``root_path``, and before the path.

    uvicorn's and FastAPI's own options put it before every path, also where the proxy has left it there. A request that
    comes without it, such as a health check of an orchestrator, is served too.

    Args:
        app: The application inside.
        root_path: The path of the proxy, which is not empty and has no slash at its end.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root_path, path = self._root_path, scope["path"]
            if path == root_path:
                path += "/"
            elif not path.startswith(root_path + "/"):
                path = root_path + path
            # In place, because the handler of unexpected errors, further out, reads the same scope.
            scope["root_path"], scope["path"] = root_path, path
        await self._app(scope, receive, send)
