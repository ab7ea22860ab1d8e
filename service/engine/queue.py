"""The queue of a network, and the decision what runs next: a plain function of the queue and the time."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.errors import QueueFullError


@dataclass(eq=False)
class Job:
    """The samples of one request.

    Attributes:
        images: [sample, channel, row, column].
        outputs: Names of the outputs that are wanted; None for all.
        arrived_s: When it came, on the queue's clock.
        deadline_s: When waiting for a batch ends, on the queue's clock.
        trace_link: Span context of the request; None where it is not traced.
        taken: Samples that batches have taken so far.
    """

    images: NDArray[np.uint8]
    outputs: Sequence[str] | None
    arrived_s: float
    deadline_s: float = math.inf
    trace_link: Any = None
    taken: int = field(default=0, init=False)


@dataclass(frozen=True)
class Batch:
    """Samples that run together: of each job those from ``start`` to ``stop``."""

    parts: list[tuple[Job, int, int]]

    @property
    def size(self) -> int:
        """The number of samples."""
        return sum(stop - start for _, start, stop in self.parts)

    @property
    def images(self) -> NDArray[np.uint8]:
        """All samples in one array."""
        return np.concatenate([job.images[start:stop] for job, start, stop in self.parts])

    @property
    def outputs(self) -> list[str] | None:
        """The outputs that any of the jobs wants; None for all."""
        names: list[str] = []
        for job, _, _ in self.parts:
            if job.outputs is None:
                return None
            names += (name for name in job.outputs if name not in names)
        return names

    @property
    def trace_links(self) -> list[Any]:
        """Span contexts of the jobs that are traced."""
        return [job.trace_link for job, _, _ in self.parts if job.trace_link is not None]


class Queue:
    """Jobs in the order of their arrival. Not safe for threads: its owner locks it.

    Args:
        max_batch: Most samples of a batch; a larger job is split.
        max_wait_s: Longest time that an incomplete batch waits for more samples, from its first job's arrival.
        max_waiting: Most samples that may wait.
    """

    def __init__(self, *, max_batch: int, max_wait_s: float, max_waiting: int) -> None:
        self._max_batch, self._max_wait_s, self._max_waiting = max_batch, max_wait_s, max_waiting
        self._jobs: deque[Job] = deque()
        self.waiting = 0
        """Samples that no batch has taken yet."""

    def check_room(self, images: int, images_per_s: float | None) -> None:
        """Check that so many more samples may wait. An empty queue takes any number.

        Raises:
            QueueFullError: They may not; it says when there will be room, if the rate is known.
        """
        if self.waiting and self.waiting + images > self._max_waiting:
            wait_s = self.waiting / images_per_s if images_per_s else 1.0
            raise QueueFullError(f"{self.waiting} images wait already; try again later", retry_after_s=wait_s)

    def put(self, job: Job, images_per_s: float | None) -> None:
        """Add a job.

        Raises:
            QueueFullError: There is no room for its samples.
        """
        self.check_room(len(job.images), images_per_s)
        self._jobs.append(job)
        self.waiting += len(job.images)

    def discard(self, job: Job) -> bool:
        """Remove the samples of a job that no batch has taken; false if there are none."""
        if job not in self._jobs:
            return False
        self._jobs.remove(job)
        self.waiting -= len(job.images) - job.taken
        return True

    def expired(self, now_s: float) -> list[Job]:
        """Remove the jobs whose deadline passed before a batch took their first sample."""
        late = [job for job in self._jobs if job.deadline_s <= now_s and not job.taken]
        for job in late:
            self.discard(job)
        return late

    def take(self, now_s: float, among: int = 1) -> Batch | None:
        """The next batch, or None if nothing is to run yet.

        If several threads are free, each takes an equal share: with ``among`` free threads, one of that many. With
        ``max_wait_s`` a batch is not divided.
        """
        if not self._jobs or self.ready_at() > now_s:
            return None
        parts: list[tuple[Job, int, int]] = []
        share = self.waiting if self._max_wait_s else -(-self.waiting // among)
        room = min(self._max_batch, share)
        while self._jobs and room:
            job = self._jobs[0]
            start, stop = job.taken, min(len(job.images), job.taken + room)
            parts.append((job, start, stop))
            job.taken = stop
            room -= stop - start
            self.waiting -= stop - start
            if stop == len(job.images):
                self._jobs.popleft()
        return Batch(parts)

    def ready_at(self) -> float:
        """When ``take`` will have a batch; infinity if nothing waits."""
        if not self._jobs:
            return math.inf
        first = self._jobs[0]
        if self.waiting >= self._max_batch or first.taken:
            return -math.inf
        return first.arrived_s + self._max_wait_s
