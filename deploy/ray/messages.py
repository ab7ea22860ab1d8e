"""What goes between the process that speaks HTTP and those that run networks."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.engine.batcher import InferenceResult
from matcaps.service.errors import ServiceError


@dataclass(frozen=True)
class Call:
    """Samples to run, in the process that runs them.

    Attributes:
        images: Samples [sample, channels, height, width].
        outputs: Names of the outputs that are asked for, or None for all.
        deadline_s: From when on they are not worth a run, on that process's clock.
    """

    images: NDArray[np.uint8]
    outputs: Sequence[str] | None
    deadline_s: float


@dataclass(frozen=True)
class Ran:
    """A batch that a network ran, as its observers heard of it."""

    images: int
    padding: int
    waits_s: Sequence[float]
    taken_s: float


@dataclass(frozen=True)
class Reply:
    """What comes back for a call.

    Attributes:
        said: The answer, or why there is none: an exception that Ray carries would come out as another class.
        batches: Those that the replica ran since its last reply.
    """

    said: InferenceResult | ServiceError
    batches: Sequence[Ran] = ()


@dataclass(frozen=True)
class Description:
    """What a version is, and where it runs."""

    metadata: Metadata
    provider: str


@dataclass
class Ledger:
    """An observer that remembers batches until somebody takes them along. Safe for threads."""

    _ran: list[Ran] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def batch(
        self, *, images: int, padding: int, waits_s: Sequence[float], taken_s: float, origins: Sequence[Any]
    ) -> None:
        """One batch has run."""
        with self._lock:
            self._ran.append(Ran(images, padding, list(waits_s), taken_s))

    def take(self) -> list[Ran]:
        """All that nobody has taken yet."""
        with self._lock:
            ran, self._ran = self._ran, []
        return ran
