"""The entrance's side of a version that runs on replicas."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.ray import remote
from deploy.ray.messages import Reply
from deploy.ray.remote import ATTEMPTS, Remote
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import ExpiredError, InferenceError, NotReadyError, QueueFullError
from matcaps.service.telemetry.batches import BatchReport
from tests.support.doubles import FakeClock

IMAGES = np.zeros((3, 1, 8, 8), np.uint8)
RESULT = InferenceResult({"activations": np.zeros((3, 2), np.float32)}, 0.0, 0.0)


class LostError(Exception):
    """A replica is gone."""


class Replicas:
    """Replicas that are asked one after another: the first ones are lost, and the last replies when a test lets it."""

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
async def test_a_result_comes_back_and_its_batches_are_counted() -> None:
    """The entrance's observers see the batches of the replicas."""
    replicas, statistics = Replicas(Reply(RESULT, [BatchReport(3, 1, [0.5], 0.25)])), Statistics()
    replicas.may_reply.set()
    network = remote_of(replicas, statistics)
    assert await network.run(IMAGES, None, 1060.0) is RESULT
    assert replicas.waits_s == [60.0]
    counted = statistics.as_json()
    assert (counted["inference_count"], counted["execution_count"]) == (3, 1)
    assert network.waiting == network.load == 0


@pytest.mark.anyio
async def test_samples_of_a_lost_replica_are_sent_to_another_one() -> None:
    """The client gets its result."""
    replicas = Replicas(Reply(RESULT), lost=ATTEMPTS - 1)
    replicas.may_reply.set()
    assert await remote_of(replicas).run(IMAGES, None, 1060.0) is RESULT
    assert len(replicas.waits_s) == ATTEMPTS


@pytest.mark.anyio
async def test_a_request_that_kills_replicas_is_refused_after_a_few() -> None:
    """The number of attempts is limited."""
    replicas = Replicas(Reply(RESULT), lost=99)
    network = remote_of(replicas)
    with pytest.raises(NotReadyError, match="lost"):
        await network.run(IMAGES, None, 1060.0)
    assert len(replicas.waits_s) == ATTEMPTS
    assert network.waiting == 0


@pytest.mark.anyio
async def test_samples_without_room_are_refused() -> None:
    """All samples without an answer count; there is room again when they are answered."""
    replicas = Replicas(Reply(RESULT))
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
async def test_the_deadline_ends_the_wait_and_cancels_the_call() -> None:
    """The replica does not compute what is not wanted any more."""
    replicas = Replicas(Reply(RESULT))
    network = remote_of(replicas)
    with pytest.raises(ExpiredError):
        await network.run(IMAGES, None, 1000.0)
    await asyncio.sleep(0)
    assert network.waiting == 0
    assert not replicas.waits_s or replicas.cancelled


@pytest.mark.anyio
async def test_a_cancelled_request_makes_room_and_cancels_the_call() -> None:
    """The call to the replica is cancelled, too."""
    replicas = Replicas(Reply(RESULT))
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
async def test_an_error_in_a_reply_is_raised() -> None:
    """A replica returns the service's errors."""
    replicas = Replicas(Reply(InferenceError("the model could not answer this request")))
    replicas.may_reply.set()
    with pytest.raises(InferenceError):
        await remote_of(replicas).run(IMAGES, None, 1060.0)


@pytest.mark.anyio
async def test_a_stopped_remote_accepts_no_samples() -> None:
    """It stays alive, and refuses with NotReadyError."""
    network = remote_of(Replicas(Reply(RESULT)))
    network.stop()
    network.join()
    assert network.alive
    assert network.stopped
    with pytest.raises(NotReadyError):
        await network.run(IMAGES, None, 1060.0)
