"""When the service is refreshed."""

import threading

import pytest

from matcaps.service.engine.reload import Reloader

LIMIT_S = 30.0


class Refreshes:
    """Counts refreshes; each may fail."""

    def __init__(self) -> None:
        self.done = threading.Semaphore(0)
        self.failure: Exception | None = None

    def __call__(self) -> None:
        try:
            if self.failure is not None:
                raise self.failure
        finally:
            self.done.release()

    def wait(self) -> None:
        assert self.done.acquire(timeout=LIMIT_S), "no refresh came"


def test_each_call_refreshes_once() -> None:
    """Without a call nothing is refreshed."""
    refreshes = Refreshes()
    reloader = Reloader(refreshes, poll_s=0.0)
    for _ in range(3):
        reloader.now()
        refreshes.wait()
    reloader.close()
    assert not refreshes.done.acquire(blocking=False)


def test_refreshes_come_at_intervals() -> None:
    """With an interval they need no call."""
    refreshes = Refreshes()
    reloader = Reloader(refreshes, poll_s=0.001)
    for _ in range(3):
        refreshes.wait()
    reloader.close()


def test_a_failed_refresh_is_logged_and_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    """The next one comes as if it had not failed."""
    refreshes = Refreshes()
    refreshes.failure = RuntimeError("out of memory")
    reloader = Reloader(refreshes, poll_s=0.0)
    for _ in range(2):
        reloader.now()
        refreshes.wait()
    reloader.close()
    assert caplog.text.count("out of memory") >= 2
