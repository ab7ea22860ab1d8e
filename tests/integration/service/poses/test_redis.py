"""Replicas that share a Redis, and what they do while it is away."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from matcaps.service.errors import NotReadyError, StartError
from matcaps.service.keys import digest
from matcaps.service.poses.redis import PAUSE_S, PREFIX, RedisPoseStore
from matcaps.service.poses.store import KeptPoses
from tests.support.doubles import FakeClock, FakeSession, grey, serve
from tests.support.redis_server import RedisServer

POSES = np.zeros((1, 2, 4, 4), np.float32)


def kept(id_: str) -> KeptPoses:
    return KeptPoses(id_, {"name": "norb", "version": 1}, ["a", "b"], POSES)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis server."""
    with RedisServer() as server:
        yield server


def test_replicas_find_each_others_ids(tmp_path: Path, redis: RedisServer) -> None:
    """A replica finds the poses that another replica predicted, but only with the key that made them."""
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


def test_predictions_work_without_redis(tmp_path: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Without Redis predictions work and reading ids gives 503, not 404; once Redis is back, both work."""
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
        assert [client.get(path).status_code for path in [before, *lost]] == [
            404,
            404,
            404,
        ]  # nothing was on disk
    messages = [record.message for record in caplog.records if "poses" in record.message]
    assert [message.partition(":")[0] for message in messages] == ["poses cannot be kept", "poses are kept again"]


def test_a_failing_redis_is_left_alone_for_a_while(tmp_path: Path, redis: RedisServer) -> None:
    """After a failure nothing is written for a while, so that predictions do not wait; then it is tried again."""
    clock, losses = FakeClock(), []
    store = RedisPoseStore(redis.url, 10, 60.0, lambda: losses.append(clock.now_s), clock)

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


def test_every_key_in_redis_expires(redis: RedisServer) -> None:
    """Every key expires: the poses at their age limit, the list and the number with the latest poses."""
    store = RedisPoseStore(redis.url, 10, 60.0)

    async def work() -> None:
        await store.keep(kept("a"), "owner")
        await store.close()

    asyncio.run(work())
    with Redis.from_url(redis.url) as client:
        keys = sorted(client.keys())
        assert keys == [f"{PREFIX}:{name}".encode() for name in ("of:owner:a", "order", "samples")]
        assert all(59_000 < client.pttl(key) <= 60_000 for key in keys)


def test_expired_poses_leave_room(redis: RedisServer) -> None:
    """Expired poses do not push out those that are kept."""
    store = RedisPoseStore(redis.url, 2, 60.0)

    async def work() -> None:
        for id_ in ("a", "b"):
            await store.keep(kept(id_), "")
        with Redis.from_url(redis.url) as client:
            client.delete(f"{PREFIX}:of::a")
        await store.keep(kept("c"), "")
        assert [(await store.find(id_, "")).id for id_ in ("b", "c")] == ["b", "c"]
        await store.close()

    asyncio.run(work())


def test_an_evicted_list_is_started_again(redis: RedisServer) -> None:
    """If Redis evicts the list of ids, new poses are still kept."""
    store = RedisPoseStore(redis.url, 1, 60.0)

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
def test_other_urls_are_rejected(url: str) -> None:
    """A URL that is not a Redis URL stops the start; the message names the setting and holds no password."""
    with pytest.raises(StartError, match="MATCAPS_POSES_URL") as error:
        RedisPoseStore(url, 10, 60.0)
    assert "secret" not in str(error.value)


def test_a_redis_that_never_runs_loses_poses() -> None:
    """Without a Redis, keeping poses does not fail, and reading them raises NotReadyError."""
    store = RedisPoseStore("unix:///nobody/listens", 10, 60.0)

    async def work() -> None:
        await store.keep(kept("a"), "")
        with pytest.raises(NotReadyError):
            await store.find("a", "")
        await store.close()

    asyncio.run(work())
