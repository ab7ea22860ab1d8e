"""The protocol of a store that keeps the poses of earlier predictions by id."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.errors import NotFoundError


class KeptPoses(NamedTuple):
    """Everything that ``GET /poses/{id}`` answers, even if the model is no longer served.

    Attributes:
        id: The prediction's id.
        model: Name and version of the model that made the prediction.
        classes: The names of the model's classes.
        poses: float32 [sample, class, 4, 4].
    """

    id: str
    model: dict[str, Any]
    classes: list[str]
    poses: NDArray[np.float32]


class PoseStore(Protocol):
    """Keeps poses for their owner: the hash of the API key that made them, or an empty text without keys."""

    async def keep(self, kept: KeptPoses, owner: str) -> None:
        """Keep poses under their id. If the store fails, the poses are lost, but the prediction is still answered."""

    async def find(self, id_: str, owner: str) -> KeptPoses:
        """The poses that are kept under an id for this owner.

        Raises:
            NotFoundError: There are none, they are no longer kept, or they belong to another owner.
            NotReadyError: The store cannot be reached.
        """

    async def close(self) -> None:
        """Release the store's resources."""


def not_kept(age_s: float) -> NotFoundError:
    """The error for an id without poses. It is the same for an id of another owner."""
    return NotFoundError(f"no poses are kept under this id; poses are kept for at most {age_s:g} s")
