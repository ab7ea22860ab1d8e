"""When the folder of models is looked at again."""

import threading

import pytest

from matcaps.service.engine.reload import Reloader

LIMIT_S = 30.0


class Looks:
    """Counts them; each may fail."""

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
        assert self.done.acquire(timeout=LIMIT_S), "nobody looked"


def test_told_to() -> None:
    """Each call is followed by a look; without one nobody looks."""
    looks = Looks()
    reloader = Reloader(looks, poll_s=0.0)
    for _ in range(3):
        reloader.now()
        looks.wait()
    reloader.close()
    assert not looks.done.acquire(blocking=False)


def test_every_so_often() -> None:
    """With a time between two looks they come by themselves."""
    looks = Looks()
    reloader = Reloader(looks, poll_s=0.001)
    for _ in range(3):
        looks.wait()
    reloader.close()


def test_a_look_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    """Its reason is logged, and the next look comes all the same."""
    looks = Looks()
    looks.failure = RuntimeError("out of memory")
    reloader = Reloader(looks, poll_s=0.0)
    for _ in range(2):
        reloader.now()
        looks.wait()
    reloader.close()
    assert caplog.text.count("out of memory") >= 2
