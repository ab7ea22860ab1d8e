"""Kept poses in Redis, so that each replica of the service finds the ids that any replica gave out."""

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
from matcaps.service.poses.store import KeptPoses, not_kept

log = logging.getLogger("matcaps")

PREFIX = "matcaps:poses:1"  # 1 is the version of the format that _pack writes
TIMEOUT_S = 0.5
PAUSE_S = 1.0  # no writes for this long after a failure; otherwise each prediction would wait for the timeout

# KEYS: key of the new poses, list of all keys in their order, number of all samples.
# ARGV: value, age in ms, number of samples, most samples.
# All poses are kept equally long, so expired ones are first in the list and are dropped before any other.
# A Redis that is short of memory may have evicted the list or the number. Then both are reset, and older poses expire.
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


class RedisPoseStore:
    """A store that replicas share. The limits on samples and on age hold for all of them together.

    While Redis does not respond, new poses are lost and ``find`` raises ``NotReadyError``. The log says when Redis
    stops responding and when it responds again.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with a password if Redis needs one.
        max_samples: Most samples to keep; the oldest poses are dropped first.
        age_s: Longest time to keep poses, in seconds.
        on_loss: Called for each prediction whose poses could not be kept.
        clock: A monotonic clock, in seconds.

    Raises:
        StartError: The URL is not a Redis URL.
    """

    def __init__(
        self,
        url: str,
        max_samples: int,
        age_s: float,
        on_loss: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            # One retry: an open connection fails once after a restart of Redis, and is then opened again.
            self._redis = Redis.from_url(
                url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 1)
            )
        except ValueError:
            # The message leaves out the URL and the cause, because both may contain a password.
            raise StartError(
                "MATCAPS_POSES_URL must be a Redis URL: redis://HOST:6379/0 or redis://:PASSWORD@HOST:6379/0; "
                "percent-encode everything but letters and digits in the password"
            ) from None
        self._keep = self._redis.register_script(KEEP)
        self._max_samples, self._age_s, self._on_loss, self._clock = max_samples, age_s, on_loss, clock
        self._down_until_s = 0.0
        self._down = False

    async def keep(self, kept: KeptPoses, owner: str) -> None:
        if self._clock() < self._down_until_s:
            self._on_loss()
            return
        keys = [_key(kept.id, owner), f"{PREFIX}:order", f"{PREFIX}:samples"]
        try:
            await self._keep(keys, [_pack(kept), round(1e3 * self._age_s), len(kept.poses), self._max_samples])
            self._up()
        except (RedisError, OSError) as error:
            self._failed(error)
            self._on_loss()

    async def find(self, id_: str, owner: str) -> KeptPoses:
        try:
            value = await self._redis.get(_key(id_, owner))
            self._up()
        except (RedisError, OSError) as error:
            self._failed(error)
            raise NotReadyError("the store of poses cannot be reached; predictions still work") from None
        if value is None:
            raise not_kept(self._age_s)
        return _unpack(value)

    async def close(self) -> None:
        await self._redis.aclose()

    def _failed(self, error: Exception) -> None:
        self._down_until_s = self._clock() + PAUSE_S
        if not self._down:
            log.error("poses cannot be kept: Redis does not respond: %s", error)
        self._down = True

    def _up(self) -> None:
        if self._down:
            log.info("poses are kept again: Redis responds")
        self._down, self._down_until_s = False, 0.0


def _key(id_: str, owner: str) -> str:
    return f"{PREFIX}:of:{owner}:{id_}"


def _pack(kept: KeptPoses) -> bytes:
    """One line of JSON, then the poses as little-endian float32."""
    head = {"id": kept.id, "model": kept.model, "classes": kept.classes, "shape": kept.poses.shape}
    return orjson.dumps(head) + b"\n" + kept.poses.astype("<f4").tobytes()


def _unpack(value: bytes | str) -> KeptPoses:
    assert isinstance(value, bytes)  # a client returns text only with decode_responses=True
    line, _, content = value.partition(b"\n")
    head = orjson.loads(line)
    poses = np.frombuffer(content, "<f4").reshape(head["shape"])
    return KeptPoses(head["id"], head["model"], head["classes"], poses)
