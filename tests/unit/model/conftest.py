"""Every test that takes ``route`` runs once with each implementation of EM routing."""

from collections.abc import Iterator

import pytest
import torch

from tests.support.routing_cases import ROUTINGS, Routing


@pytest.fixture(scope="session", params=ROUTINGS)
def route(request: pytest.FixtureRequest) -> Routing:
    """An implementation."""
    return ROUTINGS[request.param]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small are faster without threads; that threads change no result has a test of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
