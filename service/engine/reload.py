"""The folder of models looked at again: on a signal, every so often, or both."""

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("matcaps")


class Reloader:
    """Calls for another look, in a thread of its own.

    Args:
        refresh: Looks at the folder.
        poll_s: Seconds from one look at the folder to the next; 0 looks only when told to.
    """

    def __init__(self, refresh: Callable[[], None], poll_s: float) -> None:
        self._refresh, self._poll_s = refresh, poll_s
        # Of all that wakes a thread, this alone may be used in a signal's handler: its put can be entered again.
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reload", daemon=True)
        self._thread.start()

    def now(self) -> None:
        """Look again soon."""
        self._calls.put(True)

    def close(self) -> None:
        """End the thread, once a load that is under way has ended."""
        self._calls.put(False)
        self._thread.join()

    def _work(self) -> None:
        while self._wait():
            try:
                self._refresh()
            except Exception:
                # Whatever one look ends with (a GPU out of memory, say), what is served goes on, and so do the looks.
                log.exception("the models could not be loaded again")

    def _wait(self) -> bool:
        """Whether to look again, once it is time."""
        try:
            return self._calls.get(timeout=self._poll_s or None)
        except queue.Empty:
            return True
