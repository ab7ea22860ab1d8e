"""What is kept by id, for how long, how much of it, and for whom: in memory and in Redis alike."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcaps.service.errors import NotFoundError
from matcaps.service.poses.memory import Kept, PosesInMemory, PoseStore
from matcaps.service.poses.redis import PosesInRedis
from tests.support.doubles import FakeClock
from tests.support.redis_server import RedisServer

MakeStore = Callable[[int], PoseStore]
OWNER = "a" * 64


def kept(id_: str, samples: int = 1) -> Kept:
    """Poses that tell ids apart."""
    poses = np.arange(samples * 32, dtype=np.float32).reshape(samples, 2, 4, 4) + len(id_)
    return Kept(id_, {"name": "norb", "version": 2}, ["cat", "Hündin\n"], poses)


def run(store: PoseStore, work: Coroutine[Any, Any, None]) -> None:
    """Work with a store in a loop of its own, and close it."""

    async def all_of_it() -> None:
        try:
            await work
        finally:
            await store.close()

    asyncio.run(all_of_it())


async def is_kept(store: PoseStore, id_: str, owner: str = OWNER) -> bool:
    """Whether poses are found under an id."""
    try:
        return (await store.find(id_, owner)).id == id_
    except NotFoundError:
        return False


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis for all tests of this file."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    """Makes empty stores of so many samples."""
    if request.param == "memory":
        return lambda number: PosesInMemory(number, 60.0, FakeClock())
    server: RedisServer = request.getfixturevalue("redis")

    def make(number: int) -> PoseStore:
        server.stop()
        server.start()
        return PosesInRedis(server.url, number, 60.0)

    return make


def test_kept_poses_are_found(make_store: MakeStore) -> None:
    """Poses are found under their id, again and again, with all that belongs to them."""
    store = make_store(10)

    async def work() -> None:
        await store.keep(kept("a", 3), OWNER)
        for _ in range(2):
            found = await store.find("a", OWNER)
            assert found[:3] == kept("a")[:3]
            assert found.poses.dtype == np.float32
            assert np.array_equal(found.poses, kept("a", 3).poses)

    run(store, work())


def test_unknown_ids_are_refused(make_store: MakeStore) -> None:
    """An id that was never given out is an error that says how long poses are kept."""
    store = make_store(10)

    async def work() -> None:
        with pytest.raises(NotFoundError, match="60 s"):
            await store.find("b", OWNER)

    run(store, work())


def test_poses_are_for_their_owner(make_store: MakeStore) -> None:
    """Whoever shows another key, or none, finds nothing under an id, however it is spelt."""
    store = make_store(10)

    async def work() -> None:
        await store.keep(kept("a"), OWNER)
        for owner, id_ in (("b" * 64, "a"), ("", "a"), ("", f"{OWNER}:a")):
            assert not await is_kept(store, id_, owner)
        assert await is_kept(store, "a")

    run(store, work())


def test_nothing_is_kept_where_none_may_be(make_store: MakeStore) -> None:
    """With a bound of zero, nothing can be read by id."""
    store = make_store(0)

    async def work() -> None:
        await store.keep(kept("a"), OWNER)
        assert not await is_kept(store, "a")

    run(store, work())


@pytest.mark.parametrize("seed", range(4))
def test_samples_are_bounded_in_every_store(make_store: MakeStore, seed: int) -> None:
    """Never are more samples kept than may be, and those that are kept are the latest."""
    random = np.random.default_rng(seed)
    number, sizes = int(random.integers(1, 12)), random.integers(1, 5, 15).tolist()
    store = make_store(number)

    async def work() -> None:
        for index, size in enumerate(sizes):
            await store.keep(kept(str(index), size), OWNER)
            fitting = sum(sum(sizes[first : index + 1]) <= number for first in range(index + 1))
            found = [await is_kept(store, str(earlier)) for earlier in range(index + 1)]
            assert found == [earlier > index - fitting for earlier in range(index + 1)]

    run(store, work())


@settings(deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(1, 8), max_size=20))
def test_samples_are_bounded(number: int, sizes: list[int]) -> None:
    """In memory no more is held than can be found."""
    store = PosesInMemory(number, 60.0, FakeClock())

    async def work() -> None:
        for index, size in enumerate(sizes):
            await store.keep(kept(str(index), size), OWNER)

    run(store, work())
    assert len(store) == sum(sum(sizes[first:]) <= number for first in range(len(sizes)))


def test_poses_age_in_memory() -> None:
    """Poses are there just before their time is over, and gone from then on."""
    clock = FakeClock()
    store = PosesInMemory(10, 60.0, clock)

    async def work() -> None:
        await store.keep(kept("a"), OWNER)
        clock.now_s += 59.9
        assert await is_kept(store, "a")
        clock.now_s += 0.1
        assert not await is_kept(store, "a")
        assert len(store) == 0

    run(store, work())
