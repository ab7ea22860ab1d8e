"""Rejects requests without a valid API key; health routes are open, and the pages unless a setting closes them."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from matcaps.service.errors import UnauthorizedError
from matcaps.service.http.middleware.request_context import context_of
from matcaps.service.http.middleware.root_path import path_of
from matcaps.service.http.problems import problem_of
from matcaps.service.keys import Keys

HEALTH = ("/health/", "/v2/health/")  # how paths begin that orchestrators ask
PAGES, FILES = ("/", "/docs", "/openapi.json"), ("/docs/", "/web/")  # what a browser loads before it can send a key


class ApiKeyMiddleware:
    """Accepts requests with a key in ``Authorization: Bearer`` or ``X-API-Key``, whose hash goes into the context.

    Args:
        app: The application inside.
        keys: The valid keys; without keys every request is accepted.
        open_pages: Whether the pages and their files can be read without a key.
    """

    def __init__(self, app: ASGIApp, keys: Keys, open_pages: bool) -> None:
        self._app, self._keys, self._open_pages = app, keys, open_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._keys or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        owner = None if key is None else self._keys.owner(key)
        request = HTTPConnection(scope)
        if owner is None:
            got = "an invalid API key" if key else "no API key"
            error = UnauthorizedError(f"the request has {got}; send one as Authorization: Bearer or X-API-Key")
            await problem_of(request, error)(scope, receive, send)
            return
        context_of(request).owner = owner
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = path_of(scope)
        if path.startswith(HEALTH):
            return True
        is_page = path in PAGES or path.startswith(FILES)
        return self._open_pages and is_page and scope["method"] in ("GET", "HEAD")


def _key(scope: Scope) -> str | None:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    kind, _, key = headers.get(b"authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else headers.get(b"x-api-key")
