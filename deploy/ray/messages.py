"""The messages between the entrance, which answers HTTP, and the replicas, which run networks."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.errors import ServiceError
from matcaps.service.telemetry.batches import BatchReport


@dataclass(frozen=True)
class Call:
    """Samples to run, in the process that runs them.

    Attributes:
        images: [sample, channel, row, column].
        outputs: Names of the outputs that are wanted; None for all.
        deadline_s: When waiting for a batch ends, on that process's clock.
    """

    images: NDArray[np.uint8]
    outputs: Sequence[str] | None
    deadline_s: float


@dataclass(frozen=True)
class Reply:
    """What a replica returns for a call.

    Attributes:
        outcome: The result, or the error. It is returned and not raised, because Ray changes the class of exceptions.
        batches: The batches that the replica ran since its last reply.
    """

    outcome: InferenceResult | ServiceError
    batches: Sequence[BatchReport] = ()


@dataclass(frozen=True)
class Description:
    """A version as a replica has loaded it."""

    metadata: Metadata
    provider: str


@dataclass
class Ledger:
    """An observer that collects batches until a reply takes them along. Safe for threads."""

    _batches: list[BatchReport] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, batch: BatchReport) -> None:
        """Collect a batch."""
        with self._lock:
            self._batches.append(batch)

    def take(self) -> list[BatchReport]:
        """The batches since the last call."""
        with self._lock:
            batches, self._batches = self._batches, []
        return batches
