"""``/docs``: Swagger UI, from files of installed packages, so that the browser asks no other host."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parents[1] / "web" / "docs"
HEADERS = {
    # Swagger UI's pictures are data URLs of its style sheet.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def documentation_routes() -> APIRouter:
    """The page, whose links are relative: they hold behind any proxy. And its files, with validators for caches."""
    router = APIRouter(include_in_schema=False)
    page = (FOLDER / "index.html").read_text()
    files = StaticFiles(directory=FOLDER, packages=[("fastapi_swagger", "resources")])

    @router.get("/docs")
    async def documentation() -> HTMLResponse:
        return HTMLResponse(page, headers=HEADERS)

    # Not a mount: that changes the path which the log and the metrics see.
    @router.get("/docs/{name}")
    async def file(request: Request, name: str) -> Response:
        return await files.get_response(name, request.scope)

    return router
