"""Requests batched onto one network: the thread that runs it, and the waiting around it."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.errors import ExpiredError, InferenceError, NotReadyError, ServiceError
from service.queue import Batch, Job, Queue
from service.session import Arrays, Session

log = logging.getLogger("emcaps")

EXPIRED = "the deadline passed before the request's turn came"
SMOOTHING = 0.2  # weight of the newest batch in the measured rate


class Batcher:
    """Runs one session in a thread of its own, which takes what waits as soon as it is free.

    The queue and what belongs to it are shared by the event loop and that thread, under one lock that is held for
    microseconds. Answers go back through the event loop that asked.

    Args:
        session: The network; nobody else runs it.
        queue: What waits for it.
        clock: Seconds, as the queue's jobs have them.
    """

    def __init__(self, session: Session, queue: Queue, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._queue, self._clock = session, queue, clock
        self._changed = threading.Condition()
        self._answers: dict[Job, tuple[asyncio.AbstractEventLoop, asyncio.Future[Arrays], list[Arrays]]] = {}
        self._closing = False
        self._images_per_s: float | None = None
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs, or has ended because it was told to."""
        return self._closing or self._thread.is_alive()

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float = math.inf
    ) -> Arrays:
        """The named outputs (None: all) of samples [sample, channels, height, width], in one batch or several.

        Whoever is cancelled while waiting is taken out of the queue.

        Raises:
            QueueFullError: Too many samples wait already.
            ExpiredError: The deadline, a time of the clock, passed before a batch took the samples.
            InferenceError: The network failed, or answered a number that is not finite.
            NotReadyError: The service is draining.
        """
        loop = asyncio.get_running_loop()
        now = self._clock()
        job = Job(images, outputs, now, deadline_s)
        future: asyncio.Future[Arrays] = loop.create_future()
        with self._changed:
            if self._closing:
                raise NotReadyError("the service is draining")
            self._queue.put(job, self._images_per_s)
            self._answers[job] = loop, future, []
            self._changed.notify()
        timer = loop.call_later(deadline_s - now, self._expire, job) if deadline_s < math.inf else None
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            with self._changed:
                self._queue.discard(job)
                self._answers.pop(job, None)

    def close(self) -> None:
        """Run what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _expire(self, job: Job) -> None:
        # The timer alone decides: it may fire a nanosecond before the clock says so, and would not fire again.
        with self._changed:
            if not job.taken:
                self._fail(job, ExpiredError(EXPIRED))

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            began = time.monotonic()
            try:
                arrays = self._session.run(batch.images, batch.outputs)
            except Exception:  # the runtime's own kinds share no base class
                size = sum(stop - start for _, start, stop in batch.parts)
                log.exception("inference failed on a batch of %d", size)
                with self._changed:
                    for job, _, _ in batch.parts:
                        self._fail(job, InferenceError("the model could not answer this request"))
                continue
            self._deliver(batch, arrays, time.monotonic() - began)

    def _next(self) -> Batch | None:
        """The next batch, when there is one; None once all is done and the batcher closes."""
        with self._changed:
            while True:
                now = self._clock()
                for job in self._queue.expired(now):
                    self._fail(job, ExpiredError(EXPIRED))
                # What waits for company gets none any more when no request is let in.
                batch = self._queue.take(math.inf if self._closing else now)
                if batch is not None or self._closing:
                    return batch
                ready_at = self._queue.ready_at()
                self._changed.wait(None if ready_at == math.inf else ready_at - now)

    def _deliver(self, batch: Batch, arrays: Arrays, taken_s: float) -> None:
        row = 0
        with self._changed:
            for job, start, stop in batch.parts:
                piece = {name: values[row : row + stop - start] for name, values in arrays.items()}
                row += stop - start
                if job not in self._answers:
                    continue  # its caller has gone
                broken = [name for name, values in piece.items() if not np.isfinite(values).all()]
                if broken:
                    log.error("output %s is not finite", broken[0])
                    self._fail(job, InferenceError("the model answered a number that is not finite"))
                    continue
                loop, future, pieces = self._answers[job]
                pieces.append(piece)
                if stop == len(job.images):
                    names = piece if job.outputs is None else job.outputs
                    whole = {name: np.concatenate([part[name] for part in pieces]) for name in names}
                    self._settle(loop, future, whole)
            rate = row / max(taken_s, 1e-6)
            before = self._images_per_s
            self._images_per_s = rate if before is None else before + SMOOTHING * (rate - before)

    def _fail(self, job: Job, error: ServiceError) -> None:
        self._queue.discard(job)
        if (answer := self._answers.pop(job, None)) is not None:
            self._settle(answer[0], answer[1], error)

    @staticmethod
    def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Arrays], answer: Arrays | ServiceError) -> None:
        def settle() -> None:
            if future.done():
                return  # cancelled meanwhile
            if isinstance(answer, ServiceError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:
            log.debug("the event loop closed before an answer")
