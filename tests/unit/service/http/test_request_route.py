"""Routes that take the request alone are called directly; others keep FastAPI's routing and parameters."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from matcaps.service.http.request_route import DirectRoutes, RequestRoute
from tests.support.doubles import client_of


def test_a_route_with_parameters_gets_them() -> None:
    """Both kinds of route may stand in one router, and the request reaches both."""
    router = APIRouter(route_class=RequestRoute)

    @router.get("/direct")
    async def direct(request: Request) -> Response:
        return Response(request.query_params["a"])

    @router.get("/of/{name}")
    async def of_name(request: Request, name: str) -> Response:
        return Response(name + request.query_params["a"])

    app = FastAPI()
    app.include_router(router)
    with client_of(app) as client:
        assert client.get("/direct?a=7").text == "7"
        assert client.get("/of/x?a=7").text == "x7"


def test_a_direct_route_is_called_without_fastapis_handler() -> None:
    """The function itself is the handler."""

    async def direct(request: Request) -> Response:
        return Response()

    assert RequestRoute("/", direct).get_route_handler() is direct


def test_direct_routes_are_found_without_the_router() -> None:
    """Only a direct route of a path without parameters is in the table; the router answers everything else."""
    router = APIRouter(route_class=RequestRoute)

    @router.get("/direct")
    async def direct(request: Request) -> Response:
        return Response(request.scope["route"].path)

    @router.get("/of/{name}")
    async def of_name(request: Request) -> Response:
        return Response(request.path_params["name"])

    app = FastAPI()
    app.include_router(router)
    asked = []
    whole = app.router.middleware_stack

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope.get("path"))
        await whole(scope, receive, send)

    app.router.middleware_stack = DirectRoutes(note, [router])
    with client_of(app) as client:
        asked.clear()  # of the start
        assert client.get("/direct").text == "/direct"
        assert asked == []
        assert client.get("/of/x").text == "x"
        assert client.post("/direct").status_code == 405
        assert client.get("/nothing").status_code == 404
        assert asked == ["/of/x", "/direct", "/nothing"]
