"""Requests that are refused, expired, cancelled or failed, and the requests beside them."""

import asyncio
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import ExpiredError, InferenceError, QueueFullError
from matcaps.service.telemetry.batches import BatchReport
from tests.support.batching import LIMIT_S, TwoAtOnce, batching, began, first_elements, samples, waits
from tests.support.doubles import FakeSession, GatedSession


def test_a_request_fails_if_one_of_its_batches_fails() -> None:
    """The threads go on, and answer the next requests."""

    async def scenario() -> None:
        async with batching(TwoAtOnce(fails=True)) as batcher:
            with pytest.raises(InferenceError):
                await batcher.run(samples(0, 1), None)
            assert batcher.load == 0
            found = await asyncio.gather(*(batcher.run(samples(level), None) for level in (5, 6, 7)))
            assert [first_elements(answer) for answer in found] == [[5], [6], [7]]

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once() -> None:
    """The requests that wait already are answered."""

    async def scenario() -> None:
        session = GatedSession()
        async with batching(session, max_batch=1, max_waiting=1) as batcher:
            running = asyncio.create_task(batcher.run(samples(1), None))
            await began(session)
            waiting = asyncio.create_task(batcher.run(samples(2), None))
            await waits(running, waiting)
            with pytest.raises(QueueFullError):
                await batcher.run(samples(3), None)
            session.gate.release(2)
            assert [first_elements(await task) for task in (running, waiting)] == [[1], [2]]

    asyncio.run(scenario())


def test_a_request_expires_in_the_queue_and_never_runs() -> None:
    """The error comes while the network is still busy."""

    async def scenario() -> None:
        session = GatedSession()
        now = [100.0]
        batcher = Batcher(session, Queue(max_batch=1, max_wait_s=0.0, max_waiting=9), lambda: now[0])
        try:
            running = asyncio.create_task(batcher.run(samples(1), None))
            await began(session)
            late = asyncio.create_task(batcher.run(samples(2), None, deadline_s=100.01))
            await waits(late)
            now[0] = 101.0
            with pytest.raises(ExpiredError):
                async with asyncio.timeout(LIMIT_S):
                    await late
            session.gate.release()
            assert first_elements(await running) == [1]
        finally:
            session.gate.release(9)
            batcher.stop()
            await asyncio.to_thread(batcher.join)
        assert len(session.batches) == 1

    asyncio.run(scenario())


def test_a_cancelled_request_leaves_the_queue() -> None:
    """It never runs; the others do."""

    async def scenario() -> None:
        session = GatedSession()
        async with batching(session, max_batch=4) as batcher:
            running = asyncio.create_task(batcher.run(samples(1), None))
            await began(session)
            gone, stays = (asyncio.create_task(batcher.run(samples(level), None)) for level in (2, 3))
            await waits(gone, stays)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            session.gate.release(2)
            assert first_elements(await stays) == [3]
            await running
        assert [batch[:, 0, 0, 0].tolist() for batch in session.batches] == [[1], [3]]

    asyncio.run(scenario())


def test_a_batch_that_fails_fails_only_its_own_requests() -> None:
    """The rest of a request that was split does not run; the next request is answered."""

    async def scenario() -> None:
        session = FakeSession()
        async with batching(session, max_batch=2) as batcher:
            session.failure = RuntimeError("out of memory")
            with pytest.raises(InferenceError):
                await batcher.run(samples(1, 2, 3, 4, 5), None)
            session.failure = None
            assert first_elements(await batcher.run(samples(6), None)) == [6]
            assert batcher.alive
        assert [len(batch) for batch in session.batches] == [1]

    asyncio.run(scenario())


def test_a_number_that_is_not_finite_fails_only_its_own_request() -> None:
    """The request that shares the batch is answered, and is the only one that is counted."""

    class Poisoned(FakeSession):
        def run(self, images: NDArray[np.uint8], outputs: object = None) -> dict[str, NDArray[np.float32]]:
            arrays = {name: np.array(values) for name, values in super().run(images).items()}
            arrays["poses"][images[:, 0, 0, 0] == 13] = math.nan
            return arrays

    statistics = Statistics()

    async def scenario() -> None:
        async with batching(Poisoned(), observers=[statistics]) as batcher:
            good, bad = await asyncio.gather(
                batcher.run(samples(1), None), batcher.run(samples(13), None), return_exceptions=True
            )
        assert statistics.as_json()["inference_stats"]["success"]["count"] == 1
        assert isinstance(bad, InferenceError)
        assert first_elements(good) == [1]

    asyncio.run(scenario())


def test_a_missing_output_fails_only_the_requests_of_its_batch() -> None:
    """The thread goes on, and answers the next request."""

    class Forgetful(FakeSession):
        def run(self, images: NDArray[np.uint8], outputs: object = None) -> dict[str, NDArray[np.float32]]:
            arrays = dict(super().run(images))
            if (images == 13).any():
                del arrays["poses"]
            return arrays

    async def scenario() -> None:
        async with batching(Forgetful()) as batcher:
            with pytest.raises(InferenceError):
                await batcher.run(samples(13), ["poses"])
            assert first_elements(await batcher.run(samples(6), None)) == [6]
            assert batcher.load == 0

    asyncio.run(scenario())


def test_a_failing_observer_costs_no_answer() -> None:
    """Its error is logged."""

    class Failing:
        def observe(self, batch: BatchReport) -> None:
            raise OSError("disk full")

    async def scenario() -> None:
        batcher = Batcher(FakeSession(), Queue(max_batch=4, max_wait_s=0.0, max_waiting=9), observers=[Failing()])
        async with asyncio.timeout(LIMIT_S):
            assert [first_elements(await batcher.run(samples(level), None)) for level in (1, 2)] == [[1], [2]]
        batcher.stop()
        await asyncio.to_thread(batcher.join)

    asyncio.run(scenario())
