"""The capture gate: captures run alone, everything else runs together."""

import threading
from collections.abc import Callable

from matcaps.service.backends.cuda_graphs import CaptureGate

SHORT_S, LONG_S = 0.05, 30.0


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_runs_overlap() -> None:
    """Two threads run at the same time."""
    gate, both = CaptureGate(), threading.Barrier(2)

    def run() -> None:
        with gate.running():
            both.wait(LONG_S)

    thread = started(run)
    run()
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_a_capture_runs_alone() -> None:
    """A capture waits for threads that run, and threads that come later wait for the capture."""
    gate, events = CaptureGate(), list[str]()
    capturing, release = threading.Event(), threading.Event()

    def capture() -> None:
        with gate.capturing():
            events.append("capturing")
            capturing.set()
            assert release.wait(LONG_S)
            events.append("captured")

    def run() -> None:
        with gate.running():
            events.append("ran")

    with gate.running():
        capturer = started(capture)
        while not gate._capturing:
            capturer.join(0.001)
        assert not capturing.wait(SHORT_S), "no capture while another thread runs"
        runner = started(run)
        runner.join(SHORT_S)
        assert runner.is_alive(), "a later thread waits for the capture"
    assert capturing.wait(LONG_S)
    release.set()
    for thread in (capturer, runner):
        thread.join(LONG_S)
    assert events == ["capturing", "captured", "ran"]


def test_a_failure_opens_the_gate() -> None:
    """The gate is open again after a capture or a run that failed."""
    gate = CaptureGate()
    for use in (gate.capturing, gate.running, gate.capturing, gate.running):
        try:
            with use():
                raise KeyError
        except KeyError:
            pass
