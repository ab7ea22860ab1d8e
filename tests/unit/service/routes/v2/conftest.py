"""A service of three models, by one process and by two workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doubles import Client, FakeSession, serve
from tests.support.workers import serve_by_workers


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture(params=[serve, serve_by_workers], ids=["one process", "two workers"])
def client(request: pytest.FixtureRequest, tmp_path: Path, session: FakeSession) -> Iterator[Client]:
    sessions = {"norb/1": FakeSession(), "norb/2": session, "stereo/1": FakeSession(channels=2)}
    with request.param(tmp_path, sessions, model_control=True) as client:
        yield client
