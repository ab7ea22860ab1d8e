"""What stands in the entrance for networks that run elsewhere."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.ray import remote
from deploy.ray.messages import Ran, Reply
from deploy.ray.remote import ATTEMPTS, Remote
from matcaps.service.engine.batcher import InferenceResult
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import ExpiredError, InferenceError, NotReadyError, QueueFullError
from tests.support.doubles import FakeClock

IMAGES = np.zeros((3, 1, 8, 8), np.uint8)
ANSWER = InferenceResult({"activations": np.zeros((3, 2), np.float32)}, 0.0, 0.0)


class LostError(Exception):
    """A replica is gone."""


class Replicas:
    """Asked one after another; those before the last are lost, and the last replies when it may."""

    def __init__(self, reply: Reply, lost: int = 0) -> None:
        self.reply, self.lost = reply, lost
        self.waits_s: list[float] = []
        self.may_reply = asyncio.Event()
        self.cancelled = False

    async def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float) -> Reply:
        self.waits_s.append(wait_s)
        if len(self.waits_s) <= self.lost:
            raise LostError
        try:
            await self.may_reply.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.reply


def remote_of(replicas: Replicas, statistics: Statistics | None = None, max_waiting: int = 4) -> Remote:
    queue = Queue(max_batch=4, max_wait_s=0.0, max_waiting=max_waiting)
    return Remote(replicas, (LostError,), queue, FakeClock(), [statistics or Statistics()])


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE_S", 0.0)


@pytest.mark.anyio
async def test_an_answer_comes_back_and_its_batches_are_counted() -> None:
    """What replicas ran is told where the service is asked for it."""
    replicas, statistics = Replicas(Reply(ANSWER, [Ran(3, 1, [0.5], 0.25)])), Statistics()
    replicas.may_reply.set()
    network = remote_of(replicas, statistics)
    assert await network.run(IMAGES, None, 1060.0) is ANSWER
    assert replicas.waits_s == [60.0]
    counted = statistics.as_json()
    assert (counted["inference_count"], counted["execution_count"]) == (3, 1)
    assert network.waiting == network.load == 0


@pytest.mark.anyio
async def test_a_replica_that_is_lost_costs_no_answer() -> None:
    """Its samples go to another one."""
    replicas = Replicas(Reply(ANSWER), lost=ATTEMPTS - 1)
    replicas.may_reply.set()
    assert await remote_of(replicas).run(IMAGES, None, 1060.0) is ANSWER
    assert len(replicas.waits_s) == ATTEMPTS


@pytest.mark.anyio
async def test_a_request_that_kills_takes_only_so_many_replicas_along() -> None:
    """After that it is refused."""
    replicas = Replicas(Reply(ANSWER), lost=99)
    network = remote_of(replicas)
    with pytest.raises(NotReadyError, match="lost"):
        await network.run(IMAGES, None, 1060.0)
    assert len(replicas.waits_s) == ATTEMPTS
    assert network.waiting == 0


@pytest.mark.anyio
async def test_what_there_is_no_room_for_is_refused() -> None:
    """All that is not answered counts, and there is room again when it is."""
    replicas = Replicas(Reply(ANSWER))
    network = remote_of(replicas)
    first = asyncio.create_task(network.run(IMAGES, None, 1060.0))
    await asyncio.sleep(0)
    assert network.waiting == 3
    network.check_room()
    with pytest.raises(QueueFullError):
        await network.run(IMAGES, None, 1060.0)
    replicas.may_reply.set()
    await first
    await network.run(IMAGES, None, 1060.0)


@pytest.mark.anyio
async def test_the_deadline_ends_the_wait_and_tells_the_replica() -> None:
    """Nobody computes what nobody waits for."""
    replicas = Replicas(Reply(ANSWER))
    network = remote_of(replicas)
    with pytest.raises(ExpiredError):
        await network.run(IMAGES, None, 1000.0)
    await asyncio.sleep(0)
    assert network.waiting == 0
    assert not replicas.waits_s or replicas.cancelled


@pytest.mark.anyio
async def test_whoever_hangs_up_makes_room_and_the_replica_hears_of_it() -> None:
    """A cancelled request is cancelled everywhere."""
    replicas = Replicas(Reply(ANSWER))
    network = remote_of(replicas)
    task = asyncio.create_task(network.run(IMAGES, None, 1060.0))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert task.cancelled()
    assert replicas.cancelled
    assert network.waiting == 0


@pytest.mark.anyio
async def test_what_a_replica_says_no_to_is_raised_here() -> None:
    """Its errors are the service's."""
    replicas = Replicas(Reply(InferenceError("the model could not answer this request")))
    replicas.may_reply.set()
    with pytest.raises(InferenceError):
        await remote_of(replicas).run(IMAGES, None, 1060.0)


@pytest.mark.anyio
async def test_one_that_is_stopped_lets_nobody_in() -> None:
    """Those that were in have their answers by then."""
    network = remote_of(Replicas(Reply(ANSWER)))
    network.stop()
    network.join()
    assert network.alive
    assert network.stopped
    with pytest.raises(NotReadyError):
        await network.run(IMAGES, None, 1060.0)
