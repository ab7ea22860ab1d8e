"""One version of a model while it is served: the instances that run it, the requests that hold it, and its end."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.session import ONNXRUNTIME, Backend
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import ExpiredError, InferenceError


class ModelRef(NamedTuple):
    """How a request names a model: None stands for the default model, and for its highest version."""

    name: str | None = None
    version: int | None = None


class ModelInstance(Protocol):
    """Runs samples for a version: a ``Batcher`` in this process, or a client of one elsewhere."""

    @property
    def alive(self) -> bool:
        """Whether it still works, or has been stopped."""
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
        """Refuse a request early; see ``Batcher.check_room``."""
        ...

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float, trace_link: Any
    ) -> InferenceResult:
        """The named outputs for samples; see ``Batcher.run``."""
        ...

    def stop(self) -> None:
        """Accept no more samples, and end once all are answered."""
        ...

    def join(self) -> None:
        """Return when it has ended."""
        ...


class ModelVersion:
    """A version of a model, with one instance for each device.

    The requests that hold it are counted. A version that is replaced ends when the last of them has its answer.

    Args:
        name: The model's.
        version: A positive integer.
        metadata: The metadata of its file.
        provider: The execution provider of its instances.
        instances: One for each device.
        statistics: An observer of their batches.
        backend: What runs the network now, which may change while it is served.
    """

    def __init__(
        self,
        name: str,
        version: int,
        metadata: Metadata,
        provider: str,
        instances: Sequence[ModelInstance],
        statistics: Statistics,
        backend: Callable[[], Backend] = lambda: Backend(ONNXRUNTIME, ""),
    ) -> None:
        self._backend = backend
        self.name, self.version, self.metadata, self.provider = name, version, metadata, provider
        self.statistics = statistics
        self._instances = list(instances)
        # The lock guards the two below.
        self._lock = threading.Lock()
        self._holders = 0
        self._retired = False

    @property
    def reference(self) -> dict[str, Any]:
        """Name and version, as responses show them."""
        return {"name": self.name, "version": self.version}

    @property
    def backend(self) -> Backend:
        """What runs the network now."""
        return self._backend()

    @property
    def alive(self) -> bool:
        """Whether all its instances still work, or have been stopped."""
        return all(instance.alive for instance in self._instances)

    @property
    def stopped(self) -> bool:
        """Whether all its instances have been told to end."""
        return all(instance.stopped for instance in self._instances)

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet, over all devices."""
        return sum(instance.waiting for instance in self._instances)

    def check_room(self) -> None:
        """Refuse a request before its images are read and decoded.

        Raises:
            QueueFullError: No device has room for one more sample.
        """
        self._least_loaded.check_room()

    async def run(
        self,
        images: NDArray[np.uint8],
        outputs: Sequence[str] | None,
        deadline_s: float = math.inf,
        trace_link: Any = None,
    ) -> InferenceResult:
        """The named outputs for samples, from the device with the least load; see ``Batcher.run``."""
        began = time.monotonic()
        try:
            return await self._least_loaded.run(images, outputs, deadline_s, trace_link)
        except (ExpiredError, InferenceError):
            self.statistics.failed(time.monotonic() - began)
            raise

    def acquire(self) -> bool:
        """Count one more holder; false if the version has been retired."""
        with self._lock:
            if self._retired:
                return False
            self._holders += 1
            return True

    def release(self) -> None:
        """Count one holder less; the last one of a retired version stops its instances."""
        with self._lock:
            self._holders -= 1
            over = self._retired and not self._holders
        if over:
            self._stop()

    def retire(self) -> None:
        """Accept no more holders, and stop when the last one is gone."""
        with self._lock:
            over = not self._retired and not self._holders
            self._retired = True
        if over:
            self._stop()

    def close(self) -> None:
        """Run what waits, and return when the instances have ended."""
        self._stop()
        for instance in self._instances:
            instance.join()

    @property
    def _least_loaded(self) -> ModelInstance:
        if len(self._instances) == 1:
            return self._instances[0]
        return min(self._instances, key=lambda instance: instance.load)

    def _stop(self) -> None:
        for instance in self._instances:
            instance.stop()
