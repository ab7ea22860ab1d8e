"""Kept poses in the memory of this process."""

from collections import OrderedDict
from collections.abc import Callable

from matcaps.service.poses.store import KeptPoses, not_kept


class InMemoryPoseStore:
    """A store with a limit on samples and on age; the oldest poses are dropped first.

    Only the event loop's thread may use it.

    Args:
        max_samples: Most samples to keep. Samples are counted, not predictions, so that memory is bounded.
        age_s: Longest time to keep poses, in seconds.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, max_samples: int, age_s: float, clock: Callable[[], float]) -> None:
        self._max_samples, self._age_s, self._clock = max_samples, age_s, clock
        self._kept: OrderedDict[str, tuple[float, str, KeptPoses]] = OrderedDict()
        self._samples = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def keep(self, kept: KeptPoses, owner: str) -> None:
        self._kept[kept.id] = (self._clock(), owner, kept)
        self._samples += len(kept.poses)
        self._drop_oldest()

    async def find(self, id_: str, owner: str) -> KeptPoses:
        self._drop_oldest()
        _, its_owner, kept = self._kept.get(id_, (0.0, None, None))
        if kept is None or its_owner != owner:
            raise not_kept(self._age_s)
        return kept

    async def close(self) -> None:
        pass

    def _drop_oldest(self) -> None:
        expired_s = self._clock() - self._age_s
        while self._kept and (self._samples > self._max_samples or next(iter(self._kept.values()))[0] <= expired_s):
            _, (_, _, kept) = self._kept.popitem(last=False)
            self._samples -= len(kept.poses)
