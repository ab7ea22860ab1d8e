"""Routes that take the request alone are called directly; others keep FastAPI's parameters."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from matcaps.service.http.request_route import RequestRoute
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
