"""The explorer page at ``/``, and its files under ``/web``: read and compressed once, answered with ETags."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.errors import NotFoundError

FOLDER = Path(__file__).parents[1] / "web"
PAGE = "index.html"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
PACKED = {".png", ".webp"}  # compressed formats, which gzip makes no smaller
HEADERS = {
    # A picture that was chosen or drawn is shown from a blob: URL.
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    # A browser keeps the files and asks each time whether they are still the same: after an update of the service,
    # modules of two versions never meet.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


class StaticFile(NamedTuple):
    """One file, plain and compressed."""

    kind: str
    plain: bytes
    packed: bytes | None
    digest: str


@cache
def read_files() -> dict[str, StaticFile]:
    """All files of the page by name, read once per process."""
    return {
        path.name: read_file(path.read_bytes(), path.suffix)
        for path in sorted(FOLDER.iterdir())
        if path.suffix in KINDS
    }


def read_file(content: bytes, suffix: str) -> StaticFile:
    """A file with this content."""
    packed = None if suffix in PACKED else gzip.compress(content, 9, mtime=0)
    return StaticFile(KINDS[suffix], content, packed, hashlib.sha256(content).hexdigest()[:32])


def web_routes(root_path: str) -> APIRouter:
    """The routes of the page.

    Args:
        root_path: The path of a proxy, or an empty text. All URLs of the page are relative to it.
    """
    router = APIRouter(include_in_schema=False)
    files = read_files()
    page = files[PAGE]
    if root_path:
        # For a browser at /capsules, without a slash at its end, web/main.js would be /web/main.js.
        base = f'<head>\n    <base href="{escape(root_path)}/">'
        page = read_file(page.plain.replace(b"<head>", base.encode(), 1), ".html")

    @router.get("/")
    async def explorer(request: Request) -> Response:
        """The explorer page."""
        return answer(request, page)

    @router.get("/web/{name}")
    async def file(request: Request, name: str) -> Response:
        """A file of the explorer page."""
        found = None if name == PAGE else files.get(name)
        if found is None:
            raise NotFoundError(f"the explorer page has no file {name[:80]!r}")
        return answer(request, found)

    return router


def answer(request: Request, file: StaticFile, headers: Mapping[str, str] = HEADERS) -> Response:
    """The file in the encoding that the client accepts, or 304 if the client has it."""
    packed = file.packed is not None and accepts_gzip(request.headers.get("accept-encoding", ""))
    tag = f'"{file.digest}{"-gzip" if packed else ""}"'  # a strong tag is of one encoding (RFC 9110, section 8.8.3)
    headers = {**headers, "etag": tag}
    if has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    content = file.packed if packed and file.packed is not None else file.plain
    return Response(content, headers=headers, media_type=file.kind)


def has(tags: str, tag: str) -> bool:
    """Whether an If-None-Match header names a tag, compared weakly (RFC 9110, section 13.1.2).

    >>> has('W/"a", "b"', '"a"'), has("*", '"a"'), has('"b"', '"a"')
    (True, True, False)
    """
    return tags.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in tags.split(","))


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header accepts gzip.

    >>> accepts_gzip("br, gzip"), accepts_gzip("gzip;q=0, br"), accepts_gzip("*"), accepts_gzip("")
    (True, False, True, False)
    """
    qualities = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        qualities[name.strip()] = parameters.replace(" ", "")
    quality = qualities.get("gzip", qualities.get("*"))
    return quality is not None and quality.rstrip("0.") != "q="
