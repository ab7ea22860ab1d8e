"""``/docs``: Swagger UI, from the files of an installed package, so that the browser asks no other host."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from matcaps.service.errors import NotFoundError
from matcaps.service.routes.web import HEADERS, StaticFile, answer, read_file

FOLDER = Path(__file__).parents[1] / "web" / "docs"
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
HEADERS_OF_DOCS = {
    **HEADERS,
    # Swagger UI's pictures are data URLs of its style sheet.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'",
}


@cache
def read_documentation() -> tuple[StaticFile, dict[str, StaticFile]]:
    """The page, and its files by name, read once per process."""
    swagger_ui = files("fastapi_swagger") / "resources"
    contents = {name: (swagger_ui / name).read_bytes() for name in SWAGGER_UI}
    contents["start.js"] = (FOLDER / "start.js").read_bytes()
    page = read_file((FOLDER / "index.html").read_bytes(), ".html")
    return page, {name: read_file(content, Path(name).suffix) for name, content in contents.items()}


def documentation_routes() -> APIRouter:
    """The page, whose links are relative and so hold behind any proxy, and its files."""
    router = APIRouter(include_in_schema=False)
    page, known = read_documentation()

    @router.get("/docs")
    async def documentation(request: Request) -> Response:
        return answer(request, page, HEADERS_OF_DOCS)

    @router.get("/docs/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in known:
            raise NotFoundError(f"the documentation has no file {name[:80]!r}")
        return answer(request, known[name], HEADERS_OF_DOCS)

    return router
