"""Shared by tests of the batcher: samples, a batcher that is closed at the end, and a session for two threads."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.queue import Queue
from matcaps.service.telemetry.batches import BatchObserver
from tests.support.doubles import SIDE, FakeSession, GatedSession

LIMIT_S = 30  # of a test that hangs


def samples(*levels: int) -> NDArray[np.uint8]:
    """Samples of one grey level each."""
    return np.array(levels, np.uint8).reshape(-1, 1, 1, 1).repeat(SIDE, 2).repeat(SIDE, 3)


@asynccontextmanager
async def batching(
    session: FakeSession, max_batch: int = 4, max_waiting: int = 100, observers: Sequence[BatchObserver] = ()
) -> AsyncIterator[Batcher]:
    """A batcher that is closed at the end, whatever happens, within the limit."""
    queue = Queue(max_batch=max_batch, max_wait_s=0.0, max_waiting=max_waiting)
    batcher = Batcher(session, queue, observers=observers)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield batcher
    finally:
        batcher.stop()
        await asyncio.to_thread(batcher.join)


async def began(session: GatedSession) -> None:
    """Wait until the network is busy with a batch."""
    await asyncio.to_thread(session.wait_until_entered)


async def waits(*tasks: asyncio.Task[object]) -> None:
    """Let tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def first_elements(result: object) -> list[int]:
    """The grey levels of the samples that ``FakeSession`` answered."""
    assert isinstance(result, InferenceResult)
    return [round(float(value)) for value in result.arrays["activations"][:, 0] * 1000]


class TwoAtOnce(GatedSession):
    """Allows two threads; a batch with a black sample waits until one without has run, and may fail then."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.workers, self._fails = 2, fails

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Mapping[str, NDArray[np.float32]]:
        if (images == 0).all((1, 2, 3)).any():
            answer = super().run(images, outputs)
            if self._fails:
                raise RuntimeError("a black sample")
            return answer
        try:
            return FakeSession.run(self, images, outputs)
        finally:
            self.gate.release()
