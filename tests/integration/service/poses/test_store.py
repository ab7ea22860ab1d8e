"""What holds for every store of kept poses: in memory and in Redis."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from matcaps.service.errors import NotFoundError
from matcaps.service.poses.memory import InMemoryPoseStore
from matcaps.service.poses.redis import RedisPoseStore
from matcaps.service.poses.store import KeptPoses, PoseStore
from tests.support.doubles import FakeClock
from tests.support.redis_server import RedisServer

MakeStore = Callable[[int], PoseStore]
OWNER = "a" * 64


def kept(id_: str, samples: int = 1) -> KeptPoses:
    """Poses that differ from id to id."""
    poses = np.arange(samples * 32, dtype=np.float32).reshape(samples, 2, 4, 4) + len(id_)
    return KeptPoses(id_, {"name": "norb", "version": 2}, ["cat", "Hündin\n"], poses)


def run(store: PoseStore, work: Coroutine[Any, Any, None]) -> None:
    """Run work in a new event loop, and close the store."""

    async def work_and_close() -> None:
        try:
            await work
        finally:
            await store.close()

    asyncio.run(work_and_close())


async def is_kept(store: PoseStore, id_: str, owner: str = OWNER) -> bool:
    """Whether poses are found under an id."""
    try:
        return (await store.find(id_, owner)).id == id_
    except NotFoundError:
        return False


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One Redis server for all tests of this file."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    """Makes an empty store with a limit on its samples."""
    if request.param == "memory":
        return lambda number: InMemoryPoseStore(number, 60.0, FakeClock())
    server: RedisServer = request.getfixturevalue("redis")

    def make(number: int) -> PoseStore:
        server.stop()
        server.start()
        return RedisPoseStore(server.url, number, 60.0)

    return make


def test_kept_poses_are_found(make_store: MakeStore) -> None:
    """Poses are found under their id repeatedly, with the model and the classes."""
    store = make_store(10)

    async def work() -> None:
        await store.keep(kept("a", 3), OWNER)
        for _ in range(2):
            found = await store.find("a", OWNER)
            assert found[:3] == kept("a")[:3]
            assert found.poses.dtype == np.float32
            assert np.array_equal(found.poses, kept("a", 3).poses)

    run(store, work())


def test_an_unknown_id_is_not_found(make_store: MakeStore) -> None:
    """An unknown id is an error that says how long poses are kept."""
    store = make_store(10)

    async def work() -> None:
        with pytest.raises(NotFoundError, match="60 s"):
            await store.find("b", OWNER)

    run(store, work())


def test_poses_are_found_only_by_their_owner(make_store: MakeStore) -> None:
    """Another key, or no key, finds nothing under an id, however the id is spelled."""
    store = make_store(10)

    async def work() -> None:
        await store.keep(kept("a"), OWNER)
        for owner, id_ in (("b" * 64, "a"), ("", "a"), ("", f"{OWNER}:a")):
            assert not await is_kept(store, id_, owner)
        assert await is_kept(store, "a")

    run(store, work())


def test_a_limit_of_zero_keeps_nothing(make_store: MakeStore) -> None:
    """With a limit of zero samples, nothing is found by id."""
    store = make_store(0)

    async def work() -> None:
        await store.keep(kept("a"), OWNER)
        assert not await is_kept(store, "a")

    run(store, work())


@pytest.mark.parametrize("seed", range(4))
def test_the_latest_samples_within_the_limit_are_kept(make_store: MakeStore, seed: int) -> None:
    """The store never keeps more samples than the limit, and keeps the latest ones."""
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
