"""Recording a CUDA graph, which forbids every other call to CUDA in the process meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CaptureGate:
    """Any number run, or one records.

    onnxruntime records in CUDA's global mode: an allocation, a copy or a wait by any other thread, of whatever session
    and device, fails and spoils the recording. So a model that is loaded while others serve waits for a gap.
    """

    def __init__(self) -> None:
        # Both are read and written under the condition's lock alone.
        self._changed = threading.Condition()
        self._running = 0
        self._capturing = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call CUDA, beside others who do."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Call CUDA alone. Whoever comes later waits, so that a busy service cannot keep this one out."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._capturing = True
            self._changed.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()


GATE = CaptureGate()  # one for the process, as the rule is CUDA's
