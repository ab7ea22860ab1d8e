"""Routes that take the request alone, without the work of FastAPI's routing and parameters."""

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from matcaps.service.http.middleware.root_path import path_of


class RequestRoute(APIRoute):
    """A route whose function is called directly if the request is its only parameter.

    FastAPI would look for parameters and dependencies in each request, which takes a tenth of the time of a small one.
    """

    @property
    def is_direct(self) -> bool:
        """Whether the request is the only parameter of its function."""
        return [*inspect.signature(self.endpoint).parameters] == ["request"]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        if not self.is_direct:
            return super().get_route_handler()
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class DirectRoutes:
    """Finds the direct routes of a path without parameters in one table, and hands other requests to a router.

    Args:
        app: The router, which has all routes.
        routers: Those whose direct routes are called from here.
    """

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for router in routers
            for route in router.routes
            if isinstance(route, RequestRoute) and route.is_direct and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], path_of(scope))) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # for metrics and traces
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
