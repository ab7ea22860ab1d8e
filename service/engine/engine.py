"""The contract of the engine: everything that the service does, without HTTP."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.engine.version_table import ModelIndex
from matcaps.service.poses.store import KeptPoses


class Engine(Protocol):
    """Answers requests, whatever the protocol that they come by; routes translate between HTTP and this.

    A request takes a lease on a model version, decodes its images, and runs them:

        with engine.lease(model, context) as version:
            images = …  # uint8, of the size version.metadata.image
            result = await engine.infer(version, images, ["poses"], engine.clock() + 30, context)

    Attributes:
        clock: Monotonic clock in seconds; deadlines are its times.
    """

    clock: Callable[[], float]

    @property
    def started(self) -> bool:
        """Whether the engine has started and does not drain."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the engine has started, does not drain, and has loaded the default model."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the threads of every network still run."""
        ...

    def lease(self, model: ModelRef, context: RequestContext) -> AbstractContextManager[ModelVersion]:
        """Admit a request: pin the version that it ends with, even if the version is replaced meanwhile.

        Raises:
            NotFoundError: There is no such model or version.
            NotReadyError: The engine drains.
            QueueFullError: Too many samples wait, so the request is refused before its images are decoded.
        """
        ...

    async def infer(
        self,
        version: ModelVersion,
        images: NDArray[np.uint8],
        outputs: Sequence[str] | None,
        deadline_s: float,
        context: RequestContext,
        poses_id: str = "",
    ) -> InferenceResult:
        """Run samples, batched with those of other requests. Cancelling the call takes them out of the queue.

        Args:
            version: Leased.
            images: [sample, channel, row, column].
            outputs: Names of the outputs that are wanted; None for all.
            deadline_s: When waiting for a batch ends, on the engine's clock.
            context: Gets the number of samples and the times.
            poses_id: Keeps the class poses under this id for the request's owner, before the call returns; they must
                be among the outputs. Without an id none are kept.

        Raises:
            QueueFullError: Too many samples wait.
            ExpiredError: The deadline passed before a batch took the first sample.
            InferenceError: The network failed, or an output is not finite.
            NotReadyError: The engine drains.
        """
        ...

    async def poses(self, id_: str, owner: str) -> KeptPoses:
        """The poses that an owner kept under an id.

        Raises:
            NotFoundError: There are none, they are too old, or they belong to another owner.
            NotReadyError: The store of poses cannot be reached.
        """
        ...

    def models(self) -> ModelIndex:
        """All versions: loaded, refused and unloaded ones."""
        ...

    def find(self, model: ModelRef) -> ModelVersion:
        """A version to describe, without a lease.

        Raises:
            NotFoundError: There is no such model or version.
        """
        ...

    async def statistics(self, version: ModelVersion) -> dict[str, Any]:
        """What a version has run so far, in the fields of Triton's statistics extension."""
        ...

    def load(self, name: str) -> None:
        """Load all versions of a model again; blocks.

        Raises:
            NotFoundError: The folder has no such model.
            RefusedModelError: A version cannot be served; the others are.
        """
        ...

    def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again; blocks.

        Raises:
            NotFoundError: It is not loaded.
        """
        ...

    def refresh(self) -> None:
        """Load what is new in the folder of models, and drop what is gone; blocks."""
        ...

    def start(self) -> None:
        """Accept requests."""
        ...

    def drain(self) -> None:
        """Stop being ready. Requests that still come are answered."""
        ...

    async def close(self) -> None:
        """Run what waits, and end all threads."""
        ...
