"""Results on their way back: from the rows of a batch to the requests that wait for them."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.session import Arrays
from matcaps.service.engine.queue import Batch, Job
from matcaps.service.errors import ServiceError

log = logging.getLogger("matcaps")


class InferenceResult(NamedTuple):
    """The outputs for the samples of one request.

    Attributes:
        arrays: Outputs by name, a row for each sample.
        queue_s: Seconds until a batch took the first sample.
        inference_s: Seconds from then until the last batch with samples of the request had run.
    """

    arrays: Arrays
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its result, and the rows that have come so far, by the index of their first row."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[InferenceResult]
    pieces: dict[int, Arrays] = field(default_factory=dict)
    rows: int = 0
    queue_s: float = 0.0
    began_s: float = 0.0

    def result(self, ended_s: float) -> InferenceResult:
        """The result, once all rows are here; the last of them came at that time."""
        return InferenceResult(_join(self.pieces), self.queue_s, ended_s - self.began_s)


Outcome = tuple[Waiter, InferenceResult | ServiceError]


@dataclass
class Sorted:
    """What the rows of one batch mean for its jobs.

    Attributes:
        complete: The waiters that have all their rows now.
        broken: The jobs with a row that is not finite.
        waits_s: Seconds in the queue, of each job whose first sample was in the batch.
    """

    complete: list[Waiter] = field(default_factory=list)
    broken: list[Job] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)


class Delivery:
    """The requests that wait for results. Not safe for threads: the batcher locks it."""

    def __init__(self) -> None:
        self._waiters: dict[Job, Waiter] = {}

    def expect(self, job: Job, loop: asyncio.AbstractEventLoop) -> asyncio.Future[InferenceResult]:
        """The future result of a job that was sent from an event loop."""
        future: asyncio.Future[InferenceResult] = loop.create_future()
        self._waiters[job] = Waiter(loop, future)
        return future

    def forget(self, job: Job) -> Waiter | None:
        """Remove a job's waiter, if it is still there."""
        return self._waiters.pop(job, None)

    def begin(self, job: Job, queue_s: float) -> None:
        """A batch has taken the first sample of a job, after so many seconds."""
        if (waiter := self._waiters.get(job)) is not None:
            waiter.queue_s, waiter.began_s = queue_s, time.monotonic()

    def sort(self, batch: Batch, arrays: Arrays, finite: NDArray[np.bool_] | None) -> Sorted:
        """Give each waiter its rows of a batch.

        Args:
            batch: It has run.
            arrays: Its outputs.
            finite: The result of ``finite_rows(arrays)``.
        """
        found, row = Sorted(), 0
        for job, start, stop in batch.parts:
            rows = slice(row, row + stop - start)
            row = rows.stop
            if (waiter := self._waiters.get(job)) is None:
                continue  # the request has been cancelled
            if finite is not None and not finite[rows].all():
                found.broken.append(job)
                continue
            # Only the outputs that the job wants: other jobs of the batch may want more.
            names = arrays if job.outputs is None else job.outputs
            waiter.pieces[start] = {name: arrays[name][rows] for name in names}
            waiter.rows += stop - start
            if start == 0:
                found.waits_s.append(waiter.queue_s)
            if waiter.rows == len(job.images):
                found.complete.append(waiter)
        return found


def finite_rows(arrays: Arrays) -> NDArray[np.bool_] | None:
    """For each row of a batch whether it is finite in every output; None if all rows are."""
    broken = [name for name, values in arrays.items() if not np.isfinite(values).all()]
    if not broken:
        return None
    log.error("outputs that are not finite: %s", ", ".join(broken))
    rows = [np.isfinite(arrays[name].reshape(len(arrays[name]), -1)).all(1) for name in broken]
    finite: NDArray[np.bool_] = np.logical_and.reduce(rows)
    return finite


def deliver(outcomes: Sequence[Outcome]) -> None:
    """Hand outcomes to their waiters. Each event loop is woken once: a wake costs more than an outcome."""

    def settle(outcomes: Sequence[Outcome]) -> None:
        for waiter, outcome in outcomes:
            if waiter.future.done():
                continue  # cancelled meanwhile
            if isinstance(outcome, ServiceError):
                waiter.future.set_exception(outcome)
            else:
                waiter.future.set_result(outcome)

    for loop in {waiter.loop for waiter, _ in outcomes}:
        try:
            loop.call_soon_threadsafe(settle, [outcome for outcome in outcomes if outcome[0].loop is loop])
        except RuntimeError:
            log.debug("the event loop closed before a result")


def _join(pieces: Mapping[int, Arrays]) -> Arrays:
    """The pieces in the order of their rows; threads may have finished in another order."""
    if len(pieces) == 1:
        return next(iter(pieces.values()))
    return {name: np.concatenate([pieces[start][name] for start in sorted(pieces)]) for name in pieces[0]}
