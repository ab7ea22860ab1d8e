"""SIGTERM: nobody new comes in, and nothing that has begun is lost."""

import contextlib
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from matcaps.service.engine.model_version import ModelRef
from tests.support.doubles import FakeSession, GatedSession, grey
from tests.support.listening import LIMIT_S, Listening, listening

PNG = {"content-type": "image/png"}


def post(running: Listening, level: int) -> httpx.Response:
    return httpx.post(f"{running.address}/predict", content=grey(level), headers=PNG, timeout=LIMIT_S, trust_env=False)


def knock_until_nobody_opens(address: str) -> None:
    """Ask on new connections until they are refused."""
    with contextlib.suppress(httpx.TransportError):
        while True:
            httpx.get(f"{address}/health/ready", timeout=LIMIT_S, trust_env=False)


def begin_three(running: Listening, session: GatedSession, callers: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """One request in a batch, and two that wait for it."""
    begun = [callers.submit(post, running, 10)]
    session.wait_until_entered()
    begun += [callers.submit(post, running, level) for level in (20, 30)]
    while running.engine.find(ModelRef()).waiting < 2:
        pass
    return begun


def test_what_has_begun_is_answered(tmp_path: Path) -> None:
    """A request in a batch and those that wait are answered; whoever comes later finds no door; then it ends."""
    session = GatedSession()
    with listening(tmp_path, {"gated/1": session}, max_batch=1) as running, ThreadPoolExecutor() as callers:
        begun = begin_three(running, session, callers)
        assert running.engine.ready
        running.server.handle_exit(signal.SIGTERM, None)
        assert not running.engine.ready
        knock_until_nobody_opens(running.address)
        session.gate.release(9)
        answers = [request.result() for request in begun]
        running.thread.join(LIMIT_S)
        assert not running.thread.is_alive()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    found = [answer.json()["predictions"][0]["activations"]["animal"] for answer in answers]
    assert found == pytest.approx([0.010, 0.020, 0.030])


def test_not_longer_than_it_may(tmp_path: Path) -> None:
    """What has not been answered by then is given up, and the service ends all the same."""
    session = GatedSession()
    with listening(tmp_path, {"gated/1": session}, max_batch=1, drain_s=1) as running, ThreadPoolExecutor() as callers:
        begun = begin_three(running, session, callers)
        running.server.handle_exit(signal.SIGTERM, None)
        for request in begun:
            with contextlib.suppress(httpx.TransportError):
                assert request.result().status_code >= 500
        session.gate.release(9)
        running.thread.join(LIMIT_S)
        assert not running.thread.is_alive()


def test_a_connection_that_is_idle_does_not_hold_it_up(tmp_path: Path) -> None:
    """Clients that keep connections open are no requests."""
    with (
        listening(tmp_path, {"norb/1": FakeSession()}) as running,
        httpx.Client(base_url=running.address, timeout=LIMIT_S, trust_env=False) as client,
    ):
        assert client.get("/health/ready").status_code == 200
        running.server.handle_exit(signal.SIGTERM, None)
        running.thread.join(LIMIT_S)
        assert not running.thread.is_alive()
