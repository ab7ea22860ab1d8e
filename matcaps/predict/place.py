"""Where a model runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

Answer = dict[str, Any]
"""What ``POST /predict`` answers for one sample, as JSON."""


class Title(NamedTuple):
    """What is asked, for people."""

    model: str
    where: str
    classes: Sequence[str]
    channels: int

    @property
    def pictures(self) -> int:
        """Pictures per sample: two for a stereo model, which has two channels."""
        return 2 if self.channels == 2 else 1


class Place(Protocol):
    """A model that answers, in this process or elsewhere."""

    title: Title
    at_once: int
    """Samples that should be asked at the same time."""

    async def predict(self, contents: list[bytes]) -> Answer:
        """The answer for the pictures of one sample.

        Raises:
            RefusedError: There is none.
        """
        ...

    async def close(self) -> None:
        """Let go of the model."""
        ...


class RefusedError(Exception):
    """A sample gets no answer. The message says why, without naming its files."""


class PlaceError(Exception):
    """Nothing can be asked. The message is one line that says what to do."""
