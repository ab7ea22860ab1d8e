"""One version of a model while it is served: its networks, those who use it, and its end."""

import math
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.engine.batcher import InferenceResult
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import ExpiredError, InferenceError


class ModelInstance(Protocol):
    """What runs samples for a version: a ``Batcher``, or whatever sends them elsewhere."""

    @property
    def alive(self) -> bool:
        """Whether it still works, or has ended because it was told to."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether it has been told to end."""
        ...

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet."""
        ...

    @property
    def load(self) -> int:
        """Samples that wait or run."""
        ...

    def check_room(self) -> None:
        """Refuse before any work what would be refused after it; see ``Batcher.check_room``."""
        ...

    async def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float) -> InferenceResult:
        """The named outputs for samples; see ``Batcher.run``."""
        ...

    def stop(self) -> None:
        """Let no more in, and end once all is answered."""
        ...

    def join(self) -> None:
        """Return when it has ended."""
        ...


class ModelVersion:
    """A version of a model, on one device or on several.

    Who uses it is counted, so that one that is replaced ends when the last request that began with it has its answer.

    Args:
        name: The model's.
        version: A positive integer.
        metadata: What the file says of itself.
        provider: Where it runs.
        networks: One for each device.
        statistics: What they have run so far.
    """

    def __init__(
        self,
        name: str,
        version: int,
        metadata: Metadata,
        provider: str,
        networks: Sequence[ModelInstance],
        statistics: Statistics,
    ) -> None:
        self.statistics = statistics
        self.name, self.version, self.metadata, self.provider = name, version, metadata, provider
        self._networks = list(networks)
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    @property
    def alive(self) -> bool:
        """Whether the threads of all its networks still run, or have ended because they were told to."""
        return all(network.alive for network in self._networks)

    @property
    def stopped(self) -> bool:
        """Whether its threads have been told to end."""
        return all(network.stopped for network in self._networks)

    @property
    def _least_loaded(self) -> ModelInstance:
        return min(self._networks, key=lambda network: network.load)

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet, over all devices."""
        return sum(network.waiting for network in self._networks)

    def check_room(self) -> None:
        """Refuse before any work what would be refused after it.

        Raises:
            QueueFullError: No device has room for one more sample.
        """
        self._least_loaded.check_room()

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float = math.inf
    ) -> InferenceResult:
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
        for network in self._networks:
            network.join()

    def _stop(self) -> None:
        for network in self._networks:
            network.stop()
