"""The entrance's side of a version that runs on replicas: a ``ModelInstance``, as ``Batcher`` is in one process."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deploy.ray.messages import Reply
from matcaps.service.engine.batcher import EXPIRED
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.queue import Job, Queue
from matcaps.service.errors import ExpiredError, NotReadyError, ServiceError
from matcaps.service.telemetry.batches import BatchObserver

log = logging.getLogger("matcaps")

ATTEMPTS = 3  # limited, because the request itself may kill each replica that runs it
PAUSE_S = 0.1
SMOOTHING = 0.2  # weight of the newest reply in the measured rate


class Ask(Protocol):
    """Asks some replica to run samples that may wait so many seconds for a batch."""

    async def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float) -> Reply:
        """The replica's reply."""
        ...


class Remote:
    """Sends samples to replicas, and refuses those for which there is no room. Belongs to one event loop.

    If a replica is lost, its samples are sent to another one, so a client only waits longer.

    Args:
        ask: Asks a replica.
        lost: The exceptions of ``ask`` if a replica is lost.
        queue: Counts the samples without an answer; nothing is ever taken from it.
        clock: Monotonic clock in seconds.
        observers: Called for each batch of the replicas.
    """

    alive = True  # Serve replaces replicas that die

    def __init__(
        self,
        ask: Ask,
        lost: tuple[type[Exception], ...],
        queue: Queue,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[BatchObserver] = (),
    ) -> None:
        self._ask, self._lost, self._queue, self._clock, self._observers = ask, lost, queue, clock, observers
        self._images_per_s: float | None = None
        self.stopped = False

    @property
    def waiting(self) -> int:
        """Samples without an answer; only the replicas know which of them run."""
        return self._queue.waiting

    @property
    def load(self) -> int:
        """The same."""
        return self._queue.waiting

    def check_room(self) -> None:
        """Refuse a request before the work that a full queue would waste.

        Raises:
            QueueFullError: There is no room for one more sample.
        """
        self._queue.check_room(1, self._images_per_s)

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float, trace_link: Any = None
    ) -> InferenceResult:
        """The named outputs (None: all) for samples [sample, channel, row, column].

        The link to the request's trace stays here: replicas make no spans.

        Raises:
            QueueFullError: Too many samples have no answer yet.
            ExpiredError: The deadline, a time of the clock, passed before there was an answer.
            InferenceError: The network failed, or an output is not finite.
            NotReadyError: The service is draining, or too many replicas were lost.
        """
        if self.stopped:
            raise NotReadyError("the service is draining")
        job = Job(images, outputs, self._clock(), deadline_s)
        self._queue.put(job, self._images_per_s)
        # Not asyncio.timeout(): a TimeoutError of Ray is not the deadline.
        try:
            replying = asyncio.ensure_future(self._reply(job))
            done, _ = await asyncio.wait([replying], timeout=max(0.0, min(deadline_s - job.arrived_s, 1e9)))
            if not done:
                raise ExpiredError(EXPIRED)
            reply = replying.result()
        finally:
            replying.cancel()
            unanswered = self._queue.waiting
            self._queue.discard(job)
        self._measure(unanswered, self._clock() - job.arrived_s)
        for batch in reply.batches:
            for observer in self._observers:
                observer.observe(batch)
        if isinstance(reply.outcome, ServiceError):
            raise reply.outcome
        return reply.outcome

    def stop(self) -> None:
        """Accept no more samples."""
        self.stopped = True

    def join(self) -> None:
        """Nothing in this process has to end."""

    async def _reply(self, job: Job) -> Reply:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE_S)
            try:
                return await self._ask(job.images, job.outputs, job.deadline_s - self._clock())
            except self._lost as error:
                log.warning("a replica was lost with %d images: %s", len(job.images), type(error).__name__)
        raise NotReadyError(f"{ATTEMPTS} replicas were lost one after another; try again later")

    def _measure(self, unanswered: int, taken_s: float) -> None:
        """Little's law: the rate is the number of samples inside, divided by the time that one spends inside."""
        rate, before = unanswered / max(taken_s, 1e-6), self._images_per_s
        self._images_per_s = rate if before is None else before + SMOOTHING * (rate - before)
