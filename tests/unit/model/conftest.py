"""Every test that takes ``route`` runs once with each implementation of EM routing."""

import pytest

from tests.support.routing_cases import Routing, route_by_kernel, route_by_torch


@pytest.fixture(scope="session", params=[route_by_torch, route_by_kernel], ids=["torch", "kernel"])
def route(request: pytest.FixtureRequest) -> Routing:
    """An implementation."""
    routing: Routing = request.param
    return routing
