"""Nobody without a key: asked before anything else is, except about health."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from matcaps.service.errors import UnauthorizedError
from matcaps.service.http.problems import refusal
from matcaps.service.keys import Keys

OPEN = ("/health/", "/v2/health/")
OWNER = "matcaps.owner"  # its place in the scope of a request


def owner_of(request: HTTPConnection) -> str:
    """The hash of the key that a request came with; empty where none is needed."""
    return str(request.scope.get(OWNER, ""))


class ApiKeyMiddleware:
    """Lets through whoever shows a key in ``Authorization: Bearer`` or ``X-API-Key``.

    Args:
        app: The application around which this stands.
        keys: Those that are valid; if there are none, everybody passes.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._keys or scope["path"].startswith(OPEN):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        owner = None if key is None else self._keys.owner(key)
        if owner is None:
            said = "a key that is not valid" if key else "no key"
            error = UnauthorizedError(f"the request came with {said}; send one as Authorization: Bearer or X-API-Key")
            await refusal(HTTPConnection(scope), error)(scope, receive, send)
            return
        scope[OWNER] = owner
        await self._app(scope, receive, send)


def _key(scope: Scope) -> str | None:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    kind, _, key = headers.get(b"authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else headers.get(b"x-api-key")
