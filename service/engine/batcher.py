"""Runs requests in batches: the threads of one network, and the waiting around them."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.session import Arrays, Session
from matcaps.service.engine.delivery import Delivery, InferenceResult, deliver, finite_rows
from matcaps.service.engine.queue import Batch, Job, Queue
from matcaps.service.errors import ExpiredError, InferenceError, NotReadyError, ServiceError
from matcaps.service.telemetry.batches import BatchObserver, BatchReport

log = logging.getLogger("matcaps")

EXPIRED = "the deadline passed before a batch took the request"
SMOOTHING = 0.2  # weight of the newest batch in the measured rate


class Batcher:
    """Runs one session in as many threads as it allows; a thread that is free takes a batch of what waits.

    The event loop and the threads share the queue and all that belongs to it. One lock guards them, which is held for
    microseconds. Results go back through the event loop that asked.

    Args:
        session: The network; only this batcher runs it.
        queue: Holds the samples that wait for it.
        clock: Seconds, on which the times of the queue's jobs are.
        observers: Called after each batch.
    """

    def __init__(
        self,
        session: Session,
        queue: Queue,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[BatchObserver] = (),
    ) -> None:
        self._session, self._queue, self._clock, self._observers = session, queue, clock, observers
        # The lock of this condition guards the queue and everything below it.
        self._changed = threading.Condition()
        self._delivery = Delivery()
        self._running = 0
        self._free = session.workers
        self._waking = False
        self._closing = False
        self._images_per_s: float | None = None
        self._threads = [
            threading.Thread(target=self._work, name="inference", daemon=True) for _ in range(session.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all threads still run, or have been stopped."""
        return self._closing or all(thread.is_alive() for thread in self._threads)

    @property
    def stopped(self) -> bool:
        """Whether the threads have been told to end."""
        return self._closing

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet."""
        return self._queue.waiting

    @property
    def load(self) -> int:
        """Samples that wait or run."""
        return self._queue.waiting + self._running

    def check_room(self) -> None:
        """Refuse a request before the work that a full queue would waste.

        Raises:
            QueueFullError: There is no room for one more sample.
        """
        self._queue.check_room(1, self._images_per_s)

    async def run(
        self,
        images: NDArray[np.uint8],
        outputs: Sequence[str] | None,
        deadline_s: float = math.inf,
        trace_link: Any = None,
    ) -> InferenceResult:
        """The named outputs (None: all) for samples [sample, channel, row, column], from one batch or several.

        Cancelling the call takes the samples out of the queue.

        Raises:
            QueueFullError: Too many samples wait already.
            ExpiredError: The deadline, a time of the clock, passed before a batch took the samples.
            InferenceError: The network failed, or an output is not finite.
            NotReadyError: The batcher has been stopped.
        """
        loop = asyncio.get_running_loop()
        now = self._clock()
        job = Job(images, outputs, now, deadline_s, trace_link)
        with self._changed:
            if self._closing:
                raise NotReadyError("the service is draining")
            self._queue.put(job, self._images_per_s)
            future = self._delivery.expect(job, loop)
            wake = not self._waking
            self._waking = True
        if wake:
            # One wake-up per turn of the event loop: the requests of one turn share a batch, and a wake-up costs
            # more than a request.
            loop.call_soon(self._wake)
        timer = loop.call_later(deadline_s - now, self._expire, job) if deadline_s < math.inf else None
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            with self._changed:
                self._queue.discard(job)
                self._delivery.forget(job)

    def stop(self) -> None:
        """Accept no more samples, run those that wait, and end the threads after that."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Return when the threads have ended."""
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._waking = False
            self._changed.notify()

    def _expire(self, job: Job) -> None:
        # The timer alone decides: it may fire a nanosecond before the clock says so, and would not fire again.
        with self._changed:
            if not job.taken:
                self._fail(job, ExpiredError(EXPIRED))

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            size = batch.size
            try:
                began = time.monotonic()
                try:
                    arrays = self._session.run(batch.images, batch.outputs)
                finally:
                    inference_s = time.monotonic() - began
                    at_once = self._end(size)
                self._finish(batch, arrays, size, inference_s, at_once)
            except Exception:  # onnxruntime's errors share no base class
                log.exception("inference failed on a batch of %d", size)
                with self._changed:
                    for job, _, _ in batch.parts:
                        self._fail(job, InferenceError("the model could not answer this request"))

    def _next(self) -> Batch | None:
        """Wait for the next batch; None when the batcher closes and nothing waits any more."""
        with self._changed:
            while True:
                now = self._clock()
                for job in self._queue.expired(now):
                    self._fail(job, ExpiredError(EXPIRED))
                # When the batcher closes, no more samples will come to fill a batch.
                batch = self._queue.take(math.inf if self._closing else now, among=self._free)
                if batch is None and not self._closing:
                    ready_at = self._queue.ready_at()
                    self._changed.wait(None if ready_at == math.inf else ready_at - now)
                    continue
                for job, start, stop in batch.parts if batch else ():
                    self._running += stop - start
                    if start == 0:
                        self._delivery.begin(job, now - job.arrived_s)
                self._free -= batch is not None
                if self._free and self._queue.waiting:
                    self._changed.notify()  # another thread takes its share
                return batch

    def _end(self, images: int) -> int:
        """A batch has run; returns how many ran at once, this one included."""
        with self._changed:
            self._running -= images
            self._free += 1
            return len(self._threads) - self._free + 1

    def _finish(self, batch: Batch, arrays: Arrays, size: int, inference_s: float, at_once: int) -> None:
        """Report a batch to the observers, and deliver its rows."""
        finite = finite_rows(arrays)
        with self._changed:
            found = self._delivery.sort(batch, arrays, finite)
            for job in found.broken:
                self._fail(job, InferenceError("the model answered a number that is not finite"))
            self._measure(at_once * size / max(inference_s, 1e-6))
        ended_s = time.monotonic()
        # Before the delivery, so that a request that has its answer is counted.
        report = BatchReport(size, self._session.padding(size), found.waits_s, inference_s, batch.trace_links)
        for observer in self._observers:
            try:
                observer.observe(report)
            except Exception:  # a failure to count must not cost an answer
                log.exception("an observer failed on a batch")
        deliver([(waiter, waiter.result(ended_s)) for waiter in found.complete])

    def _measure(self, rate: float) -> None:
        before = self._images_per_s
        self._images_per_s = rate if before is None else before + SMOOTHING * (rate - before)

    def _fail(self, job: Job, error: ServiceError) -> None:
        self._queue.discard(job)
        if (waiter := self._delivery.forget(job)) is not None:
            deliver([(waiter, error)])
