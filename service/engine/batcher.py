"""Requests batched onto one network: the threads that run it, and the waiting around them."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.session import Arrays, Session
from matcaps.service.engine.queue import ORIGIN, Batch, Job, Queue
from matcaps.service.errors import ExpiredError, InferenceError, NotReadyError, ServiceError

log = logging.getLogger("matcaps")

EXPIRED = "the deadline passed before the request's turn came"
SMOOTHING = 0.2  # weight of the newest batch in the measured rate


@dataclass(frozen=True)
class InferenceResult:
    """What a network said of one request's samples.

    Attributes:
        arrays: Outputs by name, a row for each sample.
        queue_s: Seconds until a batch took the first of them.
        inference_s: Seconds from then on until the last batch with samples of it had run.
    """

    arrays: Arrays
    queue_s: float
    inference_s: float


class Observer(Protocol):
    """Who hears of each batch, in the thread that ran it."""

    def batch(
        self, *, images: int, padding: int, waits_s: Sequence[float], taken_s: float, origins: Sequence[Any]
    ) -> None:
        """A batch of so many samples, beside so many rows of padding, ran.

        Its requests began after such waits; the origins are those of all who had samples in it, where they have any.
        """
        ...


@dataclass(eq=False)
class Caller:
    """Whoever waits for a job: its event loop, its future, and what has been answered so far, by its first row."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[InferenceResult]
    pieces: dict[int, Arrays]
    answered: int = 0
    queue_s: float = 0.0
    began_s: float = 0.0


class Batcher:
    """Runs one session in threads of its own, as many as it bears; each takes what waits as soon as it is free.

    What waits is shared out evenly among the threads that are free. The queue and what belongs to it are shared by the
    event loop and the threads, under one lock that is held for microseconds. Answers go back through the event loop
    that asked.

    Args:
        session: The network; nobody else runs it.
        queue: What waits for it.
        clock: Seconds, as the queue's jobs have them.
        observers: Who hears of each batch.
    """

    def __init__(
        self,
        session: Session,
        queue: Queue,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._session, self._queue, self._clock, self._observers = session, queue, clock, observers
        self._changed = threading.Condition()
        self._callers: dict[Job, Caller] = {}
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
        """Whether all threads still run, or have ended because they were told to."""
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
        """Refuse before any work what would be refused after it.

        Raises:
            QueueFullError: There is no room for one more sample.
        """
        self._queue.check_room(1, self._images_per_s)

    async def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str] | None, deadline_s: float = math.inf
    ) -> InferenceResult:
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
        job = Job(images, outputs, now, deadline_s, ORIGIN.get())
        future: asyncio.Future[InferenceResult] = loop.create_future()
        with self._changed:
            if self._closing:
                raise NotReadyError("the service is draining")
            self._queue.put(job, self._images_per_s)
            self._callers[job] = Caller(loop, future, {})
            wake = not self._waking
            self._waking = True
        if wake:
            # Once for all requests of this turn of the event loop: they share a batch, and a wake costs more than one.
            loop.call_soon(self._wake)
        timer = loop.call_later(deadline_s - now, self._expire, job) if deadline_s < math.inf else None
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            with self._changed:
                self._queue.discard(job)
                self._callers.pop(job, None)

    def stop(self) -> None:
        """Let no more in, run what waits, and end the threads after that."""
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
            size = sum(stop - start for _, start, stop in batch.parts)
            try:
                began = time.monotonic()
                try:
                    arrays = self._session.run(batch.images, batch.outputs)
                finally:
                    taken_s = time.monotonic() - began
                    at_once = self._ran(size)
                self._deliver(batch, arrays, size, taken_s, at_once)
            except Exception:  # the runtime's own kinds share no base class
                log.exception("inference failed on a batch of %d", size)
                with self._changed:
                    for job, _, _ in batch.parts:
                        self._fail(job, InferenceError("the model could not answer this request"))

    def _next(self) -> Batch | None:
        """The next batch, when there is one; None once all is done and the batcher closes."""
        with self._changed:
            while True:
                now = self._clock()
                for job in self._queue.expired(now):
                    self._fail(job, ExpiredError(EXPIRED))
                # What waits for company gets none any more when no request is let in.
                batch = self._queue.take(math.inf if self._closing else now, among=self._free)
                if batch is None and not self._closing:
                    ready_at = self._queue.ready_at()
                    self._changed.wait(None if ready_at == math.inf else ready_at - now)
                    continue
                for job, start, stop in batch.parts if batch else ():
                    self._running += stop - start
                    if start == 0 and (caller := self._callers.get(job)):
                        caller.queue_s, caller.began_s = now - job.arrived_s, time.monotonic()
                self._free -= batch is not None
                if self._free and self._queue.waiting:
                    self._changed.notify()  # another thread, which has its share to take
                return batch

    def _ran(self, images: int) -> int:
        """A batch has ended; how many ran at once, with it."""
        with self._changed:
            self._running -= images
            self._free += 1
            return len(self._threads) - self._free + 1

    def _deliver(self, batch: Batch, arrays: Arrays, size: int, taken_s: float, at_once: int) -> None:
        """Hand each request its rows."""
        broken = [name for name, values in arrays.items() if not np.isfinite(values).all()]
        row, waits_s = 0, list[float]()
        complete: list[tuple[Caller, float]] = []
        with self._changed:
            for job, start, stop in batch.parts:
                # Only what the job asks for: batches of one job may have been asked for different things by others.
                names = arrays if job.outputs is None else job.outputs
                piece = {name: arrays[name][row : row + stop - start] for name in names}
                row += stop - start
                caller = self._callers.get(job)
                if caller is None:
                    continue  # it has gone
                if any(not np.isfinite(arrays[name][row - (stop - start) : row]).all() for name in broken):
                    log.error("output %s is not finite", broken[0])
                    self._fail(job, InferenceError("the model answered a number that is not finite"))
                    continue
                if start == 0:
                    waits_s.append(caller.queue_s)
                caller.pieces[start] = piece
                caller.answered += stop - start
                if caller.answered == len(job.images):
                    complete.append((caller, time.monotonic() - caller.began_s))
            rate = at_once * size / max(taken_s, 1e-6)
            before = self._images_per_s
            self._images_per_s = rate if before is None else before + SMOOTHING * (rate - before)
        # First, so that whoever has an answer finds it counted.
        padding = self._session.padding(size)
        origins = [job.origin for job, _, _ in batch.parts if job.origin is not None]
        for observer in self._observers:
            try:
                observer.batch(images=size, padding=padding, waits_s=waits_s, taken_s=taken_s, origins=origins)
            except Exception:  # whatever it is, the answers are there
                log.exception("a batch could not be recorded")
        _settle(
            [(caller, InferenceResult(_joined(caller.pieces), caller.queue_s, ran_s)) for caller, ran_s in complete]
        )

    def _fail(self, job: Job, error: ServiceError) -> None:
        self._queue.discard(job)
        if (caller := self._callers.pop(job, None)) is not None:
            _settle([(caller, error)])


def _joined(pieces: Mapping[int, Arrays]) -> Arrays:
    """The pieces in the order of their rows; they may have ended in another."""
    if len(pieces) == 1:
        return pieces[0]
    return {name: np.concatenate([pieces[start][name] for start in sorted(pieces)]) for name in pieces[0]}


def _settle(answers: Sequence[tuple[Caller, InferenceResult | ServiceError]]) -> None:
    """Hand answers to those who wait, waking each event loop once: a wake costs more than an answer."""

    def settle(answers: Sequence[tuple[Caller, InferenceResult | ServiceError]]) -> None:
        for caller, answer in answers:
            if caller.future.done():
                continue  # cancelled meanwhile
            if isinstance(answer, ServiceError):
                caller.future.set_exception(answer)
            else:
                caller.future.set_result(answer)

    for loop in {caller.loop for caller, _ in answers}:
        try:
            loop.call_soon_threadsafe(settle, [pair for pair in answers if pair[0].loop is loop])
        except RuntimeError:
            log.debug("the event loop closed before an answer")
