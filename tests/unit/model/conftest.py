"""Every test that takes ``route`` runs once with each implementation of EM routing."""

import pytest

from tests.support.routing_cases import ROUTINGS, Routing


@pytest.fixture(scope="session", params=ROUTINGS)
def route(request: pytest.FixtureRequest) -> Routing:
    """An implementation."""
    return ROUTINGS[request.param]
