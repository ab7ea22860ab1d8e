"""Recording alone, running together."""

import threading
from collections.abc import Callable

from matcaps.service.backends.cuda_graphs import CaptureGate

SHORT_S, LONG_S = 0.05, 30.0


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_any_number_run_together() -> None:
    """Two run at the same time."""
    gate, both = CaptureGate(), threading.Barrier(2)

    def run() -> None:
        with gate.running():
            both.wait(LONG_S)

    thread = started(run)
    run()
    thread.join(LONG_S)
    assert not thread.is_alive()


def test_a_recording_is_alone() -> None:
    """A recording waits for who runs, and who comes after it waits for the recording: even the busy let it in."""
    gate, events = CaptureGate(), list[str]()
    recording, release = threading.Event(), threading.Event()

    def record() -> None:
        with gate.capturing():
            events.append("recording")
            recording.set()
            assert release.wait(LONG_S)
            events.append("recorded")

    def run() -> None:
        with gate.running():
            events.append("ran")

    with gate.running():
        recorder = started(record)
        while not gate._capturing:
            recorder.join(0.001)
        assert not recording.wait(SHORT_S), "nobody records while another runs"
        runner = started(run)
        runner.join(SHORT_S)
        assert runner.is_alive(), "who comes later waits for the recording"
    assert recording.wait(LONG_S)
    release.set()
    for thread in (recorder, runner):
        thread.join(LONG_S)
    assert events == ["recording", "recorded", "ran"]


def test_a_failure_lets_the_others_go_on() -> None:
    """After a recording or a run that failed the gate is open."""
    gate = CaptureGate()
    for use in (gate.capturing, gate.running, gate.capturing, gate.running):
        try:
            with use():
                raise KeyError
        except KeyError:
            pass
