"""A service of two models over stand-ins, by one process and by two workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doubles import Client, FakeClock, FakeSession, serve
from tests.support.workers import serve_by_workers


@pytest.fixture
def sessions() -> dict[str, FakeSession]:
    return {"norb/1": FakeSession(), "norb/2": FakeSession(), "stereo/1": FakeSession(channels=2)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[serve, serve_by_workers], ids=["one process", "two workers"])
def client(
    request: pytest.FixtureRequest, tmp_path: Path, sessions: dict[str, FakeSession], clock: FakeClock
) -> Iterator[Client]:
    with request.param(tmp_path, sessions, clock) as client:
        yield client
