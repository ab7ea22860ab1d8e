"""A version whose networks run elsewhere: what ``Batcher`` is to a network in this process."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deploy.ray.messages import Reply
from matcaps.service.engine.batcher import EXPIRED, InferenceResult, Observer
from matcaps.service.engine.queue import Job, Queue
from matcaps.service.errors import ExpiredError, NotReadyError, ServiceError

log = logging.getLogger("matcaps")

ATTEMPTS = 3  # a replica that dies may have died of the request itself, which must not take all the others along
PAUSE_S = 0.1
SMOOTHING = 0.2  # weight of the newest answer in the measured rate


class Ask(Protocol):
    """Asks some replica to run samples that may wait so many seconds for their turn."""

    async def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float) -> Reply:
        """What it replies."""
        ...


class Remote:
    """Sends samples to replicas, and says no to those for which there is no room. Belongs to one event loop.

    A replica that is lost with samples on it costs time and no answer: they are sent to another one.

    Args:
        ask: Asks a replica.
        lost: What ``ask`` raises if the replica is lost.
        queue: Counts what is not answered; it is never taken from.
        clock: Seconds that only grow.
        observers: Who hears of each batch.
    """

    alive = True  # replicas that die are replaced, which is not this process's matter

    def __init__(
        self,
        ask: Ask,
        lost: tuple[type[Exception], ...],
        queue: Queue,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._ask, self._lost, self._queue, self._clock, self._observers = ask, lost, queue, clock, observers
        self._images_per_s: float | None = None
        self.stopped = False

    @property
    def waiting(self) -> int:
        """Samples that are not answered yet: which of them run is known to the replicas alone."""
        return self._queue.waiting

    @property
    def load(self) -> int:
        """The same."""
        return self._queue.waiting

    def check_room(self) -> None:
        """Refuse before any work what would be refused after it.

        Raises:
            QueueFullError: There is no room for one more sample.
        """
        self._queue.check_room(1, self._images_per_s)

    async def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float) -> InferenceResult:
        """The named outputs (None: all) of samples [sample, channels, height, width].

        Raises:
            QueueFullError: Too many samples are not answered yet.
            ExpiredError: The deadline, a time of the clock, passed before there was an answer.
            InferenceError: The network failed, or answered a number that is not finite.
            NotReadyError: The service is draining, or replicas were lost again and again.
        """
        if self.stopped:
            raise NotReadyError("the service is draining")
        job = Job(images, outputs, self._clock(), deadline_s)
        self._queue.put(job, self._images_per_s)
        # Not timeout(): a TimeoutError of Ray's own is something else than the deadline.
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
        for ran in reply.batches:
            for observer in self._observers:
                observer.batch(
                    images=ran.images, padding=ran.padding, waits_s=ran.waits_s, taken_s=ran.taken_s, origins=()
                )
        if isinstance(reply.said, ServiceError):
            raise reply.said
        return reply.said

    def stop(self) -> None:
        """Let no more in."""
        self.stopped = True

    def join(self) -> None:
        """There is nothing here to wait for."""

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
        """Little's law: as many are answered in a second as are there, divided by the time that one stays."""
        rate, before = unanswered / max(taken_s, 1e-6), self._images_per_s
        self._images_per_s = rate if before is None else before + SMOOTHING * (rate - before)
