"""One version of a model while it is served: the batchers of its networks, those who use it, and its end."""

import math
import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.artefact import Metadata
from service.batcher import Answer, Batcher
from service.errors import ExpiredError, InferenceError
from service.statistics import Statistics


class Served:
    """A version of a model, on one device or on several.

    Who uses it is counted, so that one that is replaced ends when the last request that began with it has its answer.

    Args:
        name: The model's.
        version: A positive integer.
        metadata: What the file says of itself.
        provider: Where it runs.
        batchers: One for each device.
        statistics: What they have run so far.
    """

    def __init__(
        self,
        name: str,
        version: int,
        metadata: Metadata,
        provider: str,
        batchers: Sequence[Batcher],
        statistics: Statistics,
    ) -> None:
        self.statistics = statistics
        self.name, self.version, self.metadata, self.provider = name, version, metadata, provider
        self._batchers = list(batchers)
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    @property
    def alive(self) -> bool:
        """Whether the threads of all its networks still run, or have ended because they were told to."""
        return all(batcher.alive for batcher in self._batchers)

    @property
    def stopped(self) -> bool:
        """Whether its threads have been told to end."""
        return all(batcher.stopped for batcher in self._batchers)

    @property
    def _least_loaded(self) -> Batcher:
        return min(self._batchers, key=lambda batcher: batcher.load)

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet, over all devices."""
        return sum(batcher.waiting for batcher in self._batchers)

    def check_room(self) -> None:
        """Refuse before any work what would be refused after it.

        Raises:
            QueueFullError: No device has room for one more sample.
        """
        self._least_loaded.check_room()

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float = math.inf
    ) -> Answer:
        """The named outputs for samples, on the device with the least to do; see ``Batcher.run``."""
        began = time.monotonic()
        try:
            return await self._least_loaded.run(images, outputs, deadline_s)
        except (ExpiredError, InferenceError):
            self.statistics.failed(time.monotonic() - began)
            raise

    def begin(self) -> bool:
        """Count one more user, unless it has been retired."""
        with self._lock:
            if self._retired:
                return False
            self._users += 1
            return True

    def end(self) -> None:
        """One user less; the last one of a retired version ends its threads."""
        with self._lock:
            self._users -= 1
            over = self._retired and not self._users
        if over:
            self._stop()

    def retire(self) -> None:
        """Take no more users, and end when those that there are have their answers."""
        with self._lock:
            over = not self._retired and not self._users
            self._retired = True
        if over:
            self._stop()

    def close(self) -> None:
        """Run what waits, and return when the threads have ended."""
        self._stop()
        for batcher in self._batchers:
            batcher.join()

    def _stop(self) -> None:
        for batcher in self._batchers:
            batcher.stop()
