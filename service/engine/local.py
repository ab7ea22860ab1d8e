"""The engine of one process: admission, leases and kept poses are here, networks wherever the loader puts them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.loader import ModelLoader
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.version_table import ModelIndex
from matcaps.service.poses.store import KeptPoses, PoseStore
from matcaps.service.settings import Settings
from matcaps.service.telemetry.batches import BatchObserver


class LocalEngine:
    """The ``Engine`` over a folder of models.

    Args:
        settings: The settings of the service.
        loader: Starts the networks of a version: in threads of this process, or elsewhere.
        poses: Keeps poses by id.
        observers: The observers of a model's batches, by the model's name.
        load_failed: Called with name and version of each file that is refused.
        clock: Monotonic clock in seconds.

    Raises:
        StartError: There is no folder of models, or the default model cannot be served.
    """

    def __init__(
        self,
        settings: Settings,
        loader: ModelLoader,
        poses: PoseStore,
        observers: Callable[[str], Sequence[BatchObserver]] = lambda name: (),
        load_failed: Callable[[str, int], None] = lambda name, version: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        def load(name: str, version: int, path: Path) -> ModelVersion:
            return loader(name, version, path, observers(name))

        self.clock = clock
        self._repository = Repository(settings.models, settings.default_model, load, load_failed)
        self._poses = poses
        self._started = False

    @property
    def started(self) -> bool:
        return self._started

    @property
    def ready(self) -> bool:
        return self._started and self._repository.ready

    @property
    def alive(self) -> bool:
        return all(version.alive for version in self._repository.index().loaded)

    @contextmanager
    def lease(self, model: ModelRef, context: RequestContext) -> Iterator[ModelVersion]:
        version = self._repository.acquire(model)
        try:
            context.model, context.backend = version.name, version.backend.name
            version.check_room()
            yield version
        finally:
            version.release()

    async def infer(
        self,
        version: ModelVersion,
        images: NDArray[np.uint8],
        outputs: Sequence[str] | None,
        deadline_s: float,
        context: RequestContext,
        poses_id: str = "",
    ) -> InferenceResult:
        result = await version.run(images, outputs, deadline_s, context.trace_link)
        context.images, context.queue_s, context.inference_s = len(images), result.queue_s, result.inference_s
        if poses_id:
            # A copy, because the array may be a view of a whole batch.
            poses = result.arrays["poses"].copy()
            kept = KeptPoses(poses_id, version.reference, version.metadata.classes, poses)
            await self._poses.keep(kept, context.owner)
        return result

    async def poses(self, id_: str, owner: str) -> KeptPoses:
        return await self._poses.find(id_, owner)

    def models(self) -> ModelIndex:
        return self._repository.index()

    def find(self, model: ModelRef) -> ModelVersion:
        return self._repository.find(model)

    async def statistics(self, version: ModelVersion) -> dict[str, Any]:
        return version.statistics.as_json()

    def load(self, name: str) -> None:
        self._repository.load(name)

    def unload(self, name: str) -> None:
        self._repository.unload(name)

    def refresh(self) -> None:
        self._repository.refresh()

    def start(self) -> None:
        self._started = True

    def drain(self) -> None:
        self._started = False

    async def close(self) -> None:
        self._repository.close()
        await self._poses.close()
