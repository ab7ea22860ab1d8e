"""Requests that share a network: joined in batches, split, and shared out among threads."""

import asyncio
import time

import pytest

from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.queue import Queue
from matcaps.service.errors import NotReadyError
from matcaps.service.telemetry.batches import BatchReport
from tests.support.batching import LIMIT_S, TwoAtOnce, batching, began, first_elements, samples, waits
from tests.support.doubles import FakeClock, FakeSession, GatedSession


def test_requests_that_wait_while_the_network_is_busy_share_a_batch() -> None:
    """Each gets its own rows, and only the outputs that it asked for."""

    async def scenario() -> None:
        session = GatedSession()
        async with batching(session) as batcher:
            tasks = [asyncio.create_task(batcher.run(samples(7), ["activations"]))]
            await began(session)
            tasks += [asyncio.create_task(batcher.run(samples(10, 11), None))]
            tasks += [asyncio.create_task(batcher.run(samples(20), ["activations"]))]
            await waits(*tasks)
            session.gate.release(2)
            found = await asyncio.gather(*tasks)
        assert [len(batch) for batch in session.batches] == [1, 3]
        assert [first_elements(answer) for answer in found] == [[7], [10, 11], [20]]
        assert list(found[2].arrays) == ["activations"]
        assert "conv_caps_1_poses" in found[1].arrays

    asyncio.run(scenario())


def test_a_large_request_is_split_and_joined() -> None:
    """Its rows come back in order, whatever other requests share its batches."""

    async def scenario() -> None:
        session = FakeSession()
        async with batching(session, max_batch=4) as batcher:
            found = await asyncio.gather(
                batcher.run(samples(*range(10)), ["activations"]), batcher.run(samples(50, 51, 52), ["activations"])
            )
        assert [first_elements(answer) for answer in found] == [list(range(10)), [50, 51, 52]]
        assert max(len(batch) for batch in session.batches) == 4

    asyncio.run(scenario())


def test_threads_share_a_request_and_its_rows_stay_in_order() -> None:
    """Two threads run two of four samples each, and the later samples are ready first."""

    async def scenario() -> None:
        session = TwoAtOnce()
        async with batching(session) as batcher:
            began = time.monotonic()
            answer = await batcher.run(samples(0, 1, 2, 3), ["activations"])
            assert 0.0 < answer.inference_s <= time.monotonic() - began
            assert first_elements(answer) == [0, 1, 2, 3]
            assert [batch[:, 0, 0, 0].tolist() for batch in session.batches] == [[2, 3], [0, 1]]
            assert batcher.load == 0

    asyncio.run(scenario())


def test_a_request_may_share_a_batch_with_one_for_more_outputs() -> None:
    """One of its batches has all outputs, which another request wants; its result has only those that it wants."""

    async def scenario() -> None:
        async with batching(TwoAtOnce()) as batcher:
            all_outputs, some = await asyncio.gather(
                batcher.run(samples(0), None), batcher.run(samples(1, 2, 3), ["activations", "poses"])
            )
            assert first_elements(some) == [1, 2, 3]
            assert list(some.arrays) == ["activations", "poses"]
            assert "conv_caps_1_poses" in all_outputs.arrays
            assert batcher.alive

    asyncio.run(scenario())


def test_a_stopped_batcher_answers_what_waits_and_accepts_nothing() -> None:
    """No accepted request is lost."""

    async def scenario() -> None:
        session = GatedSession()
        batcher = Batcher(session, Queue(max_batch=1, max_wait_s=60.0, max_waiting=9))
        tasks = [asyncio.create_task(batcher.run(samples(level), None)) for level in (1, 2, 3)]
        await began(session)
        batcher.stop()
        session.gate.release(9)
        async with asyncio.timeout(LIMIT_S):
            assert [first_elements(answer) for answer in await asyncio.gather(*tasks)] == [[1], [2], [3]]
            await asyncio.to_thread(batcher.join)
        with pytest.raises(NotReadyError):
            await batcher.run(samples(4), None)

    asyncio.run(scenario())


def test_observers_get_a_report_of_each_batch() -> None:
    """It has the samples, the wait of each request that began in it, and the trace links of all its requests."""

    class Reports:
        def __init__(self) -> None:
            self.all: list[BatchReport] = []

        def observe(self, batch: BatchReport) -> None:
            self.all.append(batch)

    class Padded(GatedSession):
        def padding(self, images: int) -> int:
            return 4 - images

    async def scenario() -> None:
        session, clock, reports = Padded(), FakeClock(), Reports()
        batcher = Batcher(session, Queue(max_batch=4, max_wait_s=0.0, max_waiting=9), clock, [reports])
        first = asyncio.create_task(batcher.run(samples(1), None))
        await began(session)
        late = asyncio.create_task(batcher.run(samples(2, 3, 4, 5, 6), None, trace_link="late"))
        await waits(first, late)
        assert (batcher.waiting, batcher.load) == (5, 6)
        clock.now_s += 7
        session.gate.release(3)
        async with asyncio.timeout(LIMIT_S):
            assert [(await task).queue_s for task in (first, late)] == [0, 7]
        batcher.stop()
        await asyncio.to_thread(batcher.join)
        found = [(batch.images, batch.padding, batch.waits_s, batch.trace_links) for batch in reports.all]
        assert found == [(1, 3, [0], []), (4, 0, [7], ["late"]), (1, 3, [], ["late"])]
        assert all(batch.inference_s > 0 for batch in reports.all)

    asyncio.run(scenario())
