"""Refreshes the service on a signal, at intervals, or both."""

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("matcaps")


class Reloader:
    """Calls ``refresh`` in a thread of its own.

    Args:
        refresh: Looks for changed files.
        poll_s: Seconds between two calls; 0 calls only when ``now`` is called.
    """

    def __init__(self, refresh: Callable[[], None], poll_s: float) -> None:
        self._refresh, self._poll_s = refresh, poll_s
        # A signal handler may wake a thread through this queue only: its put is reentrant.
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reload", daemon=True)
        self._thread.start()

    def now(self) -> None:
        """Refresh soon."""
        self._calls.put(True)

    def close(self) -> None:
        """End the thread, after a refresh that is under way."""
        self._calls.put(False)
        self._thread.join()

    def _work(self) -> None:
        while self._wait():
            try:
                self._refresh()
            except Exception:
                # Any failure (a GPU out of memory, for example) leaves the loaded models, and the next refresh comes.
                log.exception("the models could not be refreshed")

    def _wait(self) -> bool:
        """Wait for a call or for the interval; false if the thread must end."""
        try:
            return self._calls.get(timeout=self._poll_s or None)
        except queue.Empty:
            return True
