"""Kept poses in Redis, so that every replica of the service answers for the ids of all."""

import logging
import time
from collections.abc import Callable

import numpy as np
import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from matcaps.service.errors import NotReadyError, StartError
from matcaps.service.poses.memory import Kept, unknown

log = logging.getLogger("matcaps")

PREFIX = "matcaps:poses:1"  # the number is that of the form below
TIMEOUT_S = 0.5
PAUSE_S = 1.0  # after a failure: without it, each prediction would wait for a Redis that does not answer

# KEYS: a new id's, the ids in their order, the number of their samples. ARGV: value, age in ms, samples, most samples.
# All are kept equally long, so those that have expired are the first in the order and go before any other does.
# A Redis short of memory may have dropped one of the two: then both begin anew, and what is older goes by its age.
KEEP = """
if redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then redis.call('DEL', KEYS[2], KEYS[3]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[3] .. ' ' .. KEYS[1])
local samples = redis.call('INCRBY', KEYS[3], ARGV[3])
while samples > tonumber(ARGV[4]) do
    local count, oldest = string.match(redis.call('LPOP', KEYS[2]), '(%d+) (.+)')
    redis.call('DEL', oldest)
    samples = redis.call('DECRBY', KEYS[3], count)
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
"""


class PosesInRedis:
    """A store that replicas share, bounded in number and age over all of them; the oldest go first.

    Without Redis poses are lost, with a line in the log when it goes and when it is back, and reading them is refused.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with a password where one is needed.
        number: Most samples to keep.
        age_s: Longest time to keep one, in seconds.
        lost: Called for each answer whose poses could not be kept.
        clock: Seconds that only grow.

    Raises:
        StartError: The URL is none of Redis's.
    """

    def __init__(
        self,
        url: str,
        number: int,
        age_s: float,
        lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            # A connection that has stood since before a restart of Redis fails once, and is made anew.
            self._redis = Redis.from_url(
                url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 1)
            )
        except ValueError:
            # Neither the URL nor what is wrong with it is told: a password may be in both.
            raise StartError(
                "MATCAPS_POSES_URL is no URL of a Redis: redis://host:6379/0, or redis://:PASSWORD@host:6379/0, "
                "in whose password all but letters and digits is percent-encoded"
            ) from None
        self._keep = self._redis.register_script(KEEP)
        self._number, self._age_s, self._lost, self._clock = number, age_s, lost, clock
        self._down_until_s = 0.0
        self._down = False

    async def keep(self, kept: Kept, owner: str) -> None:
        if self._clock() < self._down_until_s:
            self._lost()
            return
        keys = [_key(kept.id, owner), f"{PREFIX}:order", f"{PREFIX}:samples"]
        try:
            await self._keep(keys, [_packed(kept), round(1e3 * self._age_s), len(kept.poses), self._number])
            self._up()
        except (RedisError, OSError) as error:
            self._failed(error)
            self._lost()

    async def find(self, id_: str, owner: str) -> Kept:
        try:
            value = await self._redis.get(_key(id_, owner))
            self._up()
        except (RedisError, OSError) as error:
            self._failed(error)
            raise NotReadyError("the store of poses cannot be reached; predictions are answered") from None
        if value is None:
            raise unknown(self._age_s)
        return _unpacked(value)

    async def close(self) -> None:
        await self._redis.aclose()

    def _failed(self, error: Exception) -> None:
        self._down_until_s = self._clock() + PAUSE_S
        if not self._down:
            log.error("poses cannot be kept, Redis does not answer: %s", error)
        self._down = True

    def _up(self) -> None:
        if self._down:
            log.info("poses are kept again, Redis answers")
        self._down, self._down_until_s = False, 0.0


def _key(id_: str, owner: str) -> str:
    return f"{PREFIX}:of:{owner}:{id_}"


def _packed(kept: Kept) -> bytes:
    """A line of JSON, then the poses as little-endian float32."""
    head = {"id": kept.id, "model": kept.model, "classes": kept.classes, "shape": kept.poses.shape}
    return orjson.dumps(head) + b"\n" + kept.poses.astype("<f4").tobytes()


def _unpacked(value: bytes | str) -> Kept:
    assert isinstance(value, bytes)  # text comes only from a client that was told to decode
    line, _, content = value.partition(b"\n")
    head = orjson.loads(line)
    poses = np.frombuffer(content, "<f4").reshape(head["shape"])
    return Kept(head["id"], head["model"], head["classes"], poses)
