"""Kept poses in memory: how many and how long. tests/integration has what holds for every store."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcaps.service.errors import NotFoundError
from matcaps.service.poses.memory import InMemoryPoseStore
from matcaps.service.poses.store import KeptPoses
from tests.support.doubles import FakeClock


def kept(id_: str, samples: int = 1) -> KeptPoses:
    return KeptPoses(id_, {"name": "norb", "version": 2}, ["cat", "dog"], np.zeros((samples, 2, 4, 4), np.float32))


@settings(deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(1, 8), max_size=20))
def test_dropped_poses_leave_memory(max_samples: int, sizes: list[int]) -> None:
    """The store holds the latest predictions whose samples fit into the limit, and nothing else."""
    store = InMemoryPoseStore(max_samples, 60.0, FakeClock())

    async def work() -> None:
        for index, size in enumerate(sizes):
            await store.keep(kept(str(index), size), "owner")

    asyncio.run(work())
    assert len(store) == sum(sum(sizes[first:]) <= max_samples for first in range(len(sizes)))


def test_poses_expire() -> None:
    """Poses are found until just before their age limit, and leave memory when they reach it."""
    clock = FakeClock()
    store = InMemoryPoseStore(10, 60.0, clock)

    async def work() -> None:
        await store.keep(kept("a"), "owner")
        clock.now_s += 59.9
        assert (await store.find("a", "owner")).id == "a"
        clock.now_s += 0.1
        with pytest.raises(NotFoundError):
            await store.find("a", "owner")
        assert len(store) == 0

    asyncio.run(work())
