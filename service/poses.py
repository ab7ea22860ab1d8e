"""The poses of earlier predictions, kept for a while under their ids."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from service.errors import UnknownError


class KeptPoses:
    """A store bounded in number and age; the oldest goes first. Belongs to the event loop's thread.

    Args:
        number: Most samples to keep; an answer of many samples weighs as many, so that memory is bounded.
        age_s: Longest time to keep one, in seconds.
        clock: Seconds that only grow.
    """

    def __init__(self, number: int, age_s: float, clock: Callable[[], float]) -> None:
        self._number, self._age_s, self._clock = number, age_s, clock
        self._kept: OrderedDict[str, tuple[float, int, str, Any]] = OrderedDict()
        self._samples = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, id_: str, answer: Any, samples: int = 1, owner: str = "") -> None:
        """Keep an answer of so many samples under a new id, for whoever owns it."""
        self._kept[id_] = (self._clock(), samples, owner, answer)
        self._samples += samples
        self._forget()

    def find(self, id_: str, owner: str = "") -> Any:
        """The answer kept under an id for this owner.

        Raises:
            UnknownError: There was none, it is no longer kept, or it is another's.
        """
        self._forget()
        if id_ not in self._kept or self._kept[id_][2] != owner:
            raise UnknownError(f"no poses are kept under that id; they are kept for {self._age_s:g} s at most")
        return self._kept[id_][3]

    def _forget(self) -> None:
        oldest = self._clock() - self._age_s
        while self._kept and (self._samples > self._number or next(iter(self._kept.values()))[0] <= oldest):
            _, (_, samples, _, _) = self._kept.popitem(last=False)
            self._samples -= samples
