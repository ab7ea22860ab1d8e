"""The poses of earlier predictions, kept for a while under their ids."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.errors import NotFoundError


class Kept(NamedTuple):
    """All that ``GET /poses/{id}`` answers with, whatever is served by then.

    Attributes:
        id: Of the prediction.
        model: Name and version that answered.
        classes: Names of the model's classes.
        poses: float32 [sample, class, 4, 4].
    """

    id: str
    model: dict[str, Any]
    classes: list[str]
    poses: NDArray[np.float32]


class PoseStore(Protocol):
    """Where poses are kept, for whoever's key made them (the owner; empty where no keys are needed)."""

    async def keep(self, kept: Kept, owner: str) -> None:
        """Keep poses under their new id, as far as it can be done; a prediction does not fail for it."""

    async def find(self, id_: str, owner: str) -> Kept:
        """The poses kept under an id for this owner.

        Raises:
            NotFoundError: There were none, they are no longer kept, or they are another's.
            NotReadyError: Nobody can tell now.
        """

    async def close(self) -> None:
        """Let go of what the store holds on to."""


def unknown(age_s: float) -> NotFoundError:
    """What is said of an id that nothing is kept under; another's id sounds no different."""
    return NotFoundError(f"no poses are kept under that id; they are kept for {age_s:g} s at most")


class PosesInMemory:
    """A store bounded in number and age; the oldest go first. Belongs to the event loop's thread.

    Args:
        number: Most samples to keep; an answer of many samples weighs as many, so that memory is bounded.
        age_s: Longest time to keep one, in seconds.
        clock: Seconds that only grow.
    """

    def __init__(self, number: int, age_s: float, clock: Callable[[], float]) -> None:
        self._number, self._age_s, self._clock = number, age_s, clock
        self._kept: OrderedDict[str, tuple[float, str, Kept]] = OrderedDict()
        self._samples = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def keep(self, kept: Kept, owner: str) -> None:
        self._kept[kept.id] = (self._clock(), owner, kept)
        self._samples += len(kept.poses)
        self._forget()

    async def find(self, id_: str, owner: str) -> Kept:
        self._forget()
        _, its_owner, kept = self._kept.get(id_, (0.0, None, None))
        if kept is None or its_owner != owner:
            raise unknown(self._age_s)
        return kept

    async def close(self) -> None:
        pass

    def _forget(self) -> None:
        oldest = self._clock() - self._age_s
        while self._kept and (self._samples > self._number or next(iter(self._kept.values()))[0] <= oldest):
            _, (_, _, kept) = self._kept.popitem(last=False)
            self._samples -= len(kept.poses)
