"""The engine of an HTTP worker: the same contract as ``LocalEngine``, over the socket to the engine process."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.session import Backend
from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.engine.statistics import Statistics
from matcaps.service.engine.version_table import ModelIndex, VersionTable
from matcaps.service.errors import QueueFullError
from matcaps.service.poses.store import KeptPoses, PoseStore
from matcaps.service.telemetry.traces import pack_link
from matcaps.service.workers.announcements import Described, Index, State
from matcaps.service.workers.client import EngineClient


class RemoteInstance:
    """A version of the engine as a worker knows it: a ``ModelInstance`` that only admits and lets go.

    Args:
        client: Asks the engine.
        serial: The serial number of the version.
        backend: What runs its network now.
    """

    alive = True  # the engine knows
    waiting = load = 0

    def __init__(self, client: EngineClient, serial: int, backend: Backend) -> None:
        self._client, self.serial, self.backend = client, serial, backend
        self.stopped = False
        self.full: QueueFullError | None = None
        """Why requests are refused before their images are decoded; None while there is room."""

    def check_room(self) -> None:
        if self.full is not None:
            raise QueueFullError(str(self.full), self.full.retry_after_s)

    async def run(
        self,
        images: NDArray[np.uint8],
        outputs: Sequence[str] | None,
        deadline_s: float,
        trace_link: Any,
        poses_id: str = "",
        owner: str = "",
    ) -> InferenceResult:
        deadline = None if deadline_s == math.inf else deadline_s
        (queue_s, inference_s, layout), payload = await self._client.ask(
            "infer",
            self.serial,
            images.shape,
            outputs,
            deadline,
            poses_id,
            owner,
            pack_link(trace_link),
            payload=images.tobytes(),
        )
        arrays, place = {}, 0
        for name, shape in layout:
            size = 4 * math.prod(shape)
            arrays[name] = np.frombuffer(payload[place : place + size], np.float32).reshape(shape)
            place += size
        return InferenceResult(arrays, queue_s, inference_s)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self._client.send("release", self.serial)

    def join(self) -> None:
        pass


class RemoteVersions(VersionTable):
    """The versions of the engine as a worker knows them.

    Args:
        client: Asks the engine.
        index: The first index.
    """

    def __init__(self, client: EngineClient, index: Index) -> None:
        super().__init__(index.default)
        self._client = client
        self._instances: dict[int, tuple[RemoteInstance, ModelVersion]] = {}
        self.follow(index)

    def index(self) -> ModelIndex:
        """All versions as they are now."""
        return ModelIndex(self._default, list(self._loaded.values()), self._index.refused, self._index.unloaded)

    def follow(self, index: Index) -> None:
        """Take over what the engine announces, and let go of versions that are gone."""
        before = self._instances
        self._index = index
        self._instances = {row.serial: before.get(row.serial) or self._describe(row) for row in index.loaded}
        self._loaded = {(row.name, row.version): self._instances[row.serial][1] for row in index.loaded}
        for row in index.loaded:
            self._instances[row.serial][0].backend = row.backend
        for serial in before.keys() - self._instances.keys():
            before[serial][1].retire()

    def set_full(self, serial: int, full: QueueFullError | None) -> None:
        """Note whether requests for a version are refused."""
        if serial in self._instances:
            self._instances[serial][0].full = full

    def _describe(self, row: Described) -> tuple[RemoteInstance, ModelVersion]:
        instance = RemoteInstance(self._client, row.serial, row.backend)
        version = RemoteVersion(
            row.name, row.version, row.metadata, row.provider, [instance], Statistics(), lambda: instance.backend
        )
        version.instance = instance
        return instance, version


class RemoteVersion(ModelVersion):
    """A version whose only instance is the engine."""

    instance: RemoteInstance


class RemoteEngine:
    """The ``Engine`` of an HTTP worker.

    Args:
        client: Asks the engine.
        versions: What the engine has loaded.
        state: The engine's state at the start.
        poses: A store of poses that all workers share; None leaves them to the engine.
        clock: The engine's clock: monotonic clocks of one machine are the same for all its processes.
    """

    def __init__(
        self,
        client: EngineClient,
        versions: RemoteVersions,
        state: State,
        poses: PoseStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.state = state
        self._client, self._versions, self._poses = client, versions, poses
        self._draining = False

    @property
    def started(self) -> bool:
        return self.state.started and not self._draining

    @property
    def ready(self) -> bool:
        return self.state.ready and not self._draining

    @property
    def alive(self) -> bool:
        return self.state.alive

    @contextmanager
    def lease(self, model: ModelRef, context: RequestContext) -> Iterator[ModelVersion]:
        version = self._versions.acquire(model)
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
        assert isinstance(version, RemoteVersion)
        id_ = poses_id if self._poses is None else ""
        result = await version.instance.run(images, outputs, deadline_s, context.trace_link, id_, context.owner)
        context.images, context.queue_s, context.inference_s = len(images), result.queue_s, result.inference_s
        if poses_id and self._poses is not None:
            kept = KeptPoses(poses_id, version.reference, version.metadata.classes, result.arrays["poses"])
            await self._poses.keep(kept, context.owner)
        return result

    async def poses(self, id_: str, owner: str) -> KeptPoses:
        if self._poses is not None:
            return await self._poses.find(id_, owner)
        (model, classes, shape), payload = await self._client.ask("poses", id_, owner)
        return KeptPoses(id_, model, classes, np.frombuffer(payload, np.float32).reshape(shape))

    def models(self) -> ModelIndex:
        return self._versions.index()

    def find(self, model: ModelRef) -> ModelVersion:
        return self._versions.find(model)

    async def statistics(self, version: ModelVersion) -> dict[str, Any]:
        assert isinstance(version, RemoteVersion)
        (found,), _ = await self._client.ask("statistics", version.instance.serial)
        assert isinstance(found, dict)
        return found

    def load(self, name: str) -> None:
        self._ask_and_wait("load", name)

    def unload(self, name: str) -> None:
        self._ask_and_wait("unload", name)

    def refresh(self) -> None:
        self._ask_and_wait("refresh")

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def drain(self) -> None:
        self._draining = True

    async def close(self) -> None:
        if self._poses is not None:
            await self._poses.close()

    def _ask_and_wait(self, kind: str, *fields: Any) -> None:
        asyncio.run_coroutine_threadsafe(self._client.ask(kind, *fields), self._loop).result()
