"""Requests that share a network: joined, split, refused, expired, given up, and answered each with its own."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.batcher import Answer, Batcher
from service.errors import ExpiredError, InferenceError, NotReadyError, QueueFullError
from service.queue import ORIGIN, Queue
from tests.service.doubles import SIDE, FakeClock, FakeSession, GatedSession

LIMIT_S = 30  # of a test that hangs


def samples(*levels: int) -> NDArray[np.uint8]:
    """Even samples of these grey levels."""
    return np.array(levels, np.uint8).reshape(-1, 1, 1, 1).repeat(SIDE, 2).repeat(SIDE, 3)


@asynccontextmanager
async def batching(session: FakeSession, max_batch: int = 4, max_waiting: int = 100) -> AsyncIterator[Batcher]:
    """A batcher that is closed at the end, whatever happens, within the limit."""
    batcher = Batcher(session, Queue(max_batch=max_batch, max_wait_s=0.0, max_waiting=max_waiting))
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


def first_elements(answer: object) -> list[int]:
    """The grey levels that the stand-in answered for."""
    assert isinstance(answer, Answer)
    return [round(float(value)) for value in answer.arrays["activations"][:, 0] * 1000]


def test_what_waits_while_the_network_is_busy_runs_together() -> None:
    """Three requests become one batch, and each gets its own rows and only the outputs that it asked for."""

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
    """Its rows come back in order, whatever shares the batches with it."""

    async def scenario() -> None:
        session = FakeSession()
        async with batching(session, max_batch=4) as batcher:
            found = await asyncio.gather(
                batcher.run(samples(*range(10)), ["activations"]), batcher.run(samples(50, 51, 52), ["activations"])
            )
        assert [first_elements(answer) for answer in found] == [list(range(10)), [50, 51, 52]]
        assert max(len(batch) for batch in session.batches) == 4

    asyncio.run(scenario())


class TwoAtOnce(GatedSession):
    """Bears two threads; a batch with a black sample waits until one without has run, and may fail then."""

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


def test_threads_share_a_request_and_its_rows_stay_in_order() -> None:
    """Of four samples each of two threads runs two, and the later ones are ready first."""

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


def test_parts_of_a_request_may_run_beside_requests_for_more() -> None:
    """One batch answers all outputs, for the sake of another request, and the other batch only those asked for."""

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


def test_a_request_of_which_a_part_failed_is_an_error_and_the_threads_go_on() -> None:
    """Half of an answer is none."""

    async def scenario() -> None:
        async with batching(TwoAtOnce(fails=True)) as batcher:
            with pytest.raises(InferenceError):
                await batcher.run(samples(0, 1), None)
            assert batcher.load == 0
            found = await asyncio.gather(*(batcher.run(samples(level), None) for level in (5, 6, 7)))
            assert [first_elements(answer) for answer in found] == [[5], [6], [7]]

    asyncio.run(scenario())


def test_a_full_queue_refuses_and_serves_what_it_accepted() -> None:
    """The refusal comes at once; whoever waited is answered."""

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


def test_a_deadline_that_passes_in_the_queue_is_an_answer_and_no_run() -> None:
    """The caller hears of it while the network is still busy."""

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


def test_a_caller_who_gives_up_is_taken_out_of_the_queue() -> None:
    """Cancelled before its batch: never run. The others are."""

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


def test_a_batch_that_fails_fails_its_callers_alone() -> None:
    """Also the rest of a request that was split; the next request is served."""

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


def test_a_number_that_is_not_finite_is_its_own_callers_matter() -> None:
    """Who shares the batch is answered."""

    class Poisoned(FakeSession):
        def run(self, images: NDArray[np.uint8], outputs: object = None) -> dict[str, NDArray[np.float32]]:
            arrays = {name: np.array(values) for name, values in super().run(images).items()}
            arrays["poses"][images[:, 0, 0, 0] == 13] = math.nan
            return arrays

    async def scenario() -> None:
        async with batching(Poisoned()) as batcher:
            good, bad = await asyncio.gather(
                batcher.run(samples(1), None), batcher.run(samples(13), None), return_exceptions=True
            )
        assert isinstance(bad, InferenceError)
        assert first_elements(good) == [1]

    asyncio.run(scenario())


def test_an_answer_that_lacks_an_output_fails_its_callers_alone() -> None:
    """A thread outlives whatever a session says; the next request is served."""

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


def test_answers_come_even_if_nobody_could_be_told_of_the_batch() -> None:
    """Records are worth less than answers."""

    class Deaf:
        def batch(self, **batch: object) -> None:
            raise OSError("disk full")

    async def scenario() -> None:
        batcher = Batcher(FakeSession(), Queue(max_batch=4, max_wait_s=0.0, max_waiting=9), observers=[Deaf()])
        async with asyncio.timeout(LIMIT_S):
            assert [first_elements(await batcher.run(samples(level), None)) for level in (1, 2)] == [[1], [2]]
        batcher.stop()
        await asyncio.to_thread(batcher.join)

    asyncio.run(scenario())


def test_closing_answers_what_waits_and_lets_nothing_in() -> None:
    """Nothing that was accepted is lost."""

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


def test_each_batch_is_told_of() -> None:
    """Its samples, how long each request waited for its first batch (the answer says that as well), and who asked."""

    class Told:
        def __init__(self) -> None:
            self.batches: list[tuple[int, int, list[float]]] = []
            self.origins: list[list[Any]] = []

        def batch(
            self, *, images: int, padding: int, waits_s: Sequence[float], taken_s: float, origins: Sequence[Any]
        ) -> None:
            assert taken_s > 0
            self.batches.append((images, padding, list(waits_s)))
            self.origins.append(list(origins))

    class Padded(GatedSession):
        def padding(self, images: int) -> int:
            return 4 - images

    async def scenario() -> None:
        session, clock, told = Padded(), FakeClock(), Told()
        batcher = Batcher(session, Queue(max_batch=4, max_wait_s=0.0, max_waiting=9), clock, [told])
        first = asyncio.create_task(batcher.run(samples(1), None))
        await began(session)
        ORIGIN.set("late")
        late = asyncio.create_task(batcher.run(samples(2, 3, 4, 5, 6), None))
        await waits(first, late)
        assert (batcher.waiting, batcher.load) == (5, 6)
        clock.now_s += 7
        session.gate.release(3)
        async with asyncio.timeout(LIMIT_S):
            assert [(await task).queue_s for task in (first, late)] == [0, 7]
        batcher.stop()
        await asyncio.to_thread(batcher.join)
        assert told.batches == [(1, 3, [0]), (4, 0, [7]), (1, 3, [])]
        assert told.origins == [[], ["late"], ["late"]]

    asyncio.run(scenario())
