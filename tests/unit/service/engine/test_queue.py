"""What runs next is decided by the queue and the time alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcaps.service.engine.queue import Batch, Job, Queue
from matcaps.service.errors import QueueFullError


def job(samples: int, at_s: float = 0.0, deadline_s: float = math.inf, outputs: list[str] | None = None) -> Job:
    """A job whose samples have their number as first pixel."""
    images = np.arange(samples, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Job(images, outputs, at_s, deadline_s)


def queue(max_batch: int = 4, max_wait_s: float = 0.0, max_waiting: int = 100) -> Queue:
    """An empty queue."""
    return Queue(max_batch=max_batch, max_wait_s=max_wait_s, max_waiting=max_waiting)


def sizes(batch: Batch | None) -> list[int]:
    """Samples of each job in a batch."""
    assert batch is not None
    return [stop - start for _, start, stop in batch.parts]


def test_an_idle_network_takes_at_once_what_there_is() -> None:
    """Without a wait a single sample runs alone, and an empty queue has no batch."""
    waiting = queue()
    assert waiting.take(0.0) is None
    assert waiting.ready_at() == math.inf
    waiting.put(job(1), None)
    assert sizes(waiting.take(0.0)) == [1]
    assert waiting.take(0.0) is None


def test_an_incomplete_batch_waits_for_company_and_a_full_one_does_not() -> None:
    """The wait counts from the first job's arrival."""
    waiting = queue(max_wait_s=0.5)
    waiting.put(job(1, at_s=10.0), None)
    waiting.put(job(2, at_s=10.4), None)
    assert waiting.take(10.4) is None
    assert waiting.ready_at() == 10.5
    assert sizes(waiting.take(10.5)) == [1, 2]
    waiting.put(job(4, at_s=11.0), None)
    assert sizes(waiting.take(11.0)) == [4]


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(1, 8))
def test_every_sample_runs_once_and_in_order(numbers: list[int], max_batch: int) -> None:
    """Jobs are split and joined to full batches; only the last may be smaller."""
    waiting = queue(max_batch, max_waiting=1000)
    jobs = [job(number) for number in numbers]
    for each in jobs:
        waiting.put(each, None)
    taken = []
    batches = []
    while (batch := waiting.take(0.0)) is not None:
        batches.append(len(batch.images))
        taken += [(part, int(pixel)) for part, start, stop in batch.parts for pixel in part.images[start:stop, 0, 0, 0]]
    assert taken == [(each, n) for each in jobs for n in range(len(each.images))]
    assert all(size == max_batch for size in batches[:-1])
    assert waiting.waiting == 0


def test_free_threads_share_the_waiting_samples_evenly() -> None:
    """Each takes its share of what is left, rounded up, and never more than a batch."""
    waiting = queue(max_batch=4)
    waiting.put(job(5), None)
    assert [sizes(waiting.take(0.0, among=free)) for free in (3, 2, 1)] == [[2], [2], [1]]
    waiting.put(job(9), None)
    assert sizes(waiting.take(0.0, among=2)) == [4]


def test_a_batch_that_waited_to_fill_is_not_divided() -> None:
    """A full batch runs whole, even if other threads are free."""
    waiting = queue(max_batch=4, max_wait_s=1.0)
    waiting.put(job(4), None)
    assert sizes(waiting.take(0.0, among=3)) == [4]


def test_outputs_of_a_batch_are_what_any_job_asks_for() -> None:
    """All of them, if one job wants all."""
    waiting = queue()
    for outputs in (["poses"], ["activations", "poses"]):
        waiting.put(job(1, outputs=outputs), None)
    batch = waiting.take(0.0)
    assert batch is not None
    assert batch.outputs == ["poses", "activations"]
    waiting.put(job(1, outputs=["poses"]), None)
    waiting.put(job(1), None)
    batch = waiting.take(0.0)
    assert batch is not None
    assert batch.outputs is None


def test_a_full_queue_refuses_and_says_when_there_is_room() -> None:
    """The time is that of what waits at the measured rate; a job larger than the queue runs if nothing else waits."""
    waiting = queue(max_waiting=5)
    waiting.put(job(7), None)
    with pytest.raises(QueueFullError, match="7 images wait already") as refusal:
        waiting.put(job(1), images_per_s=2.0)
    assert refusal.value.retry_after_s == 3.5
    assert waiting.waiting == 7


def test_an_expired_job_is_removed_unless_a_batch_has_begun_it() -> None:
    """A job that has begun is finished even after its deadline."""
    waiting = queue(max_batch=2)
    begun, late, early = job(3, deadline_s=1.0), job(1, deadline_s=1.0), job(1, deadline_s=2.0)
    for each in (begun, late, early):
        waiting.put(each, None)
    assert sizes(waiting.take(0.0)) == [2]
    assert waiting.expired(0.9) == []
    assert waiting.expired(1.0) == [late]
    assert waiting.waiting == 2
    assert sizes(waiting.take(1.5)) == [1, 1]


def test_what_is_discarded_leaves_room() -> None:
    """Also what is left of a job that was begun; a second time there is nothing left."""
    waiting = queue(max_batch=2)
    begun, other = job(5), job(1)
    waiting.put(begun, None)
    waiting.put(other, None)
    waiting.take(0.0)
    assert waiting.discard(begun)
    assert not waiting.discard(begun)
    assert waiting.waiting == 1
    assert sizes(waiting.take(0.0)) == [1]
