"""On SIGTERM the service accepts no new connections and finishes the requests that have begun."""

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


def connect_until_refused(address: str) -> None:
    """Send requests on new connections until they are refused."""
    with contextlib.suppress(httpx.TransportError):
        while True:
            httpx.get(f"{address}/health/ready", timeout=LIMIT_S, trust_env=False)


def begin_three(running: Listening, session: GatedSession, callers: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """Start one request in a batch, and two that wait for it."""
    begun = [callers.submit(post, running, 10)]
    session.wait_until_entered()
    begun += [callers.submit(post, running, level) for level in (20, 30)]
    while running.engine.find(ModelRef()).waiting < 2:
        pass
    return begun


def test_running_requests_are_answered_after_sigterm(tmp_path: Path) -> None:
    """Requests in a batch or in the queue are answered, new connections are refused, then the service ends."""
    session = GatedSession()
    with listening(tmp_path, {"gated/1": session}, max_batch=1) as running, ThreadPoolExecutor() as callers:
        begun = begin_three(running, session, callers)
        assert running.engine.ready
        running.server.handle_exit(signal.SIGTERM, None)
        assert not running.engine.ready
        connect_until_refused(running.address)
        session.gate.release(9)
        answers = [request.result() for request in begun]
        running.thread.join(LIMIT_S)
        assert not running.thread.is_alive()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    found = [answer.json()["predictions"][0]["activations"]["animal"] for answer in answers]
    assert found == pytest.approx([0.010, 0.020, 0.030])


def test_the_drain_has_a_time_limit(tmp_path: Path) -> None:
    """Requests that run longer than the drain are aborted, and the service ends."""
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


def test_an_idle_connection_does_not_delay_the_end(tmp_path: Path) -> None:
    """An open connection without a request does not delay the end of the service."""
    with (
        listening(tmp_path, {"norb/1": FakeSession()}) as running,
        httpx.Client(base_url=running.address, timeout=LIMIT_S, trust_env=False) as client,
    ):
        assert client.get("/health/ready").status_code == 200
        running.server.handle_exit(signal.SIGTERM, None)
        running.thread.join(LIMIT_S)
        assert not running.thread.is_alive()
