"""Keeps the capture of a CUDA graph apart from all other CUDA calls of the process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CaptureGate:
    """Lets any number of threads run, or one thread capture.

    onnxruntime captures in CUDA's global mode. An allocation, a copy or a synchronisation by any other thread, on any
    session or device, then fails and invalidates the capture. A model that is loaded while others serve therefore
    waits until no batch runs.
    """

    def __init__(self) -> None:
        # Both are read and written only under the condition's lock.
        self._changed = threading.Condition()
        self._running = 0
        self._capturing = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call CUDA beside other threads, once no capture is under way."""
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
        """Call CUDA alone. Threads that come later wait, so that a busy service cannot delay a capture forever."""
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


GATE = CaptureGate()  # one per process, because CUDA's rule is per process
