"""Replicas that share a Redis, and what they do without it."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from matcaps.service.errors import NotReadyError, StartError
from matcaps.service.keys import digest
from matcaps.service.poses.memory import Kept
from matcaps.service.poses.redis import PAUSE_S, PREFIX, PosesInRedis
from tests.support.doubles import FakeClock, FakeSession, grey, serve
from tests.support.redis_server import RedisServer

POSES = np.zeros((1, 2, 4, 4), np.float32)


def kept(id_: str) -> Kept:
    return Kept(id_, {"name": "norb", "version": 1}, ["a", "b"], POSES)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis."""
    with RedisServer() as server:
        yield server


def test_replicas_answer_each_others_ids(tmp_path: Path, redis: RedisServer) -> None:
    """What one service predicted, another reads by its id, and only with the key that made it."""
    file = tmp_path / "keys"
    file.write_text("".join(f"{name} sha256:{digest(name)}\n" for name in ("ann", "bob")))
    ann, bob = {"x-api-key": "ann"}, {"x-api-key": "bob"}
    with (
        serve(tmp_path / "one", {"norb/1": FakeSession()}, poses_url=redis.url, api_keys=file) as one,
        serve(tmp_path / "two", {"other/3": FakeSession()}, poses_url=redis.url, api_keys=file) as two,
    ):
        answer = one.post_png("/poses", grey(9), **ann)
        path = f"/poses/{answer.json()['id']}"
        assert two.get(path, headers=ann).json() == answer.json()
        assert two.get(path, headers=ann).json()["model"] == {"name": "norb", "version": 1}
        assert [service.get(path, headers=bob).status_code for service in (one, two)] == [404, 404]


def test_without_redis_predictions_go_on(tmp_path: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """When Redis goes, predictions are answered and ids are not (503, not 404); when it is back, both are."""
    caplog.set_level(logging.INFO, "matcaps")
    clock = FakeClock()
    with serve(tmp_path, {"norb/1": FakeSession()}, clock, poses_url=redis.url) as client:

        def predict() -> str:
            answer = client.post_png("/predict", grey(9))
            assert answer.status_code == 200
            return f"/poses/{answer.json()['id']}"

        before = predict()
        assert client.get(before).status_code == 200
        redis.stop()
        lost = [predict(), predict()]
        gone = client.get(before)
        assert gone.status_code == 503
        assert "cannot be reached" in gone.json()["detail"]
        assert client.get("/health/ready").status_code == 200
        assert "matcaps_poses_lost_total 2.0" in client.get("/metrics").text
        redis.start()
        clock.now_s += PAUSE_S
        assert client.get(predict()).status_code == 200
        assert [client.get(path).status_code for path in [before, *lost]] == [404, 404, 404]  # it had kept nothing
    told = [record.message for record in caplog.records if "poses" in record.message]
    assert [message.partition(",")[0] for message in told] == ["poses cannot be kept", "poses are kept again"]


def test_a_silent_redis_is_asked_once_in_a_while(tmp_path: Path, redis: RedisServer) -> None:
    """After a failure nothing is sent for a while, so that not every prediction waits; then it is tried again."""
    clock, losses = FakeClock(), []
    store = PosesInRedis(redis.url, 10, 60.0, lambda: losses.append(clock.now_s), clock)

    async def work() -> None:
        redis.stop()
        await store.keep(kept("a"), "")
        redis.start()
        await store.keep(kept("b"), "")
        assert len(losses) == 2
        clock.now_s += PAUSE_S
        await store.keep(kept("c"), "")
        assert len(losses) == 2
        assert (await store.find("c", "")).id == "c"
        await store.close()

    asyncio.run(work())


def test_redis_forgets_by_itself(redis: RedisServer) -> None:
    """Every key expires: poses after their time, the order and the count with the last of them."""
    store = PosesInRedis(redis.url, 10, 60.0)

    async def work() -> None:
        await store.keep(kept("a"), "owner")
        await store.close()

    asyncio.run(work())
    with Redis.from_url(redis.url) as client:
        keys = sorted(client.keys())
        assert keys == [f"{PREFIX}:{name}".encode() for name in ("of:owner:a", "order", "samples")]
        assert all(59_000 < client.pttl(key) <= 60_000 for key in keys)


def test_expired_poses_leave_room(redis: RedisServer) -> None:
    """Poses whose time is over do not push out those that are kept."""
    store = PosesInRedis(redis.url, 2, 60.0)

    async def work() -> None:
        for id_ in ("a", "b"):
            await store.keep(kept(id_), "")
        with Redis.from_url(redis.url) as client:
            client.delete(f"{PREFIX}:of::a")
        await store.keep(kept("c"), "")
        assert [(await store.find(id_, "")).id for id_ in ("b", "c")] == ["b", "c"]
        await store.close()

    asyncio.run(work())


def test_an_order_that_was_evicted_begins_anew(redis: RedisServer) -> None:
    """A Redis short of memory may drop the order of the ids: poses are kept all the same."""
    store = PosesInRedis(redis.url, 1, 60.0)

    async def work() -> None:
        await store.keep(kept("a"), "")
        with Redis.from_url(redis.url) as client:
            client.delete(f"{PREFIX}:order")
        for id_ in ("b", "c"):
            await store.keep(kept(id_), "")
        assert (await store.find("c", "")).id == "c"
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://localhost:port", "redis://:secret#x@h:1"]
)
def test_other_urls_are_refused(url: str) -> None:
    """What is no URL of a Redis ends the start with the setting's name, and without the password in it."""
    with pytest.raises(StartError, match="MATCAPS_POSES_URL") as error:
        PosesInRedis(url, 10, 60.0)
    assert "secret" not in str(error.value)


def test_nobody_there() -> None:
    """A Redis that was never there refuses to read, and does not fail to keep."""
    store = PosesInRedis("unix:///nobody/listens", 10, 60.0)

    async def work() -> None:
        await store.keep(kept("a"), "")
        with pytest.raises(NotReadyError):
            await store.find("a", "")
        await store.close()

    asyncio.run(work())
