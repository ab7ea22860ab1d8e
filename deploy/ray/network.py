"""One replica: the service's own models and batches, without HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.ray.messages import Call, Description, Ledger, Reply
from matcaps.service.backends.session import Session
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.loader import Load, start_batchers
from matcaps.service.engine.model_version import ModelInstance, ModelRef, ModelVersion
from matcaps.service.engine.reload import Reloader
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import NotFoundError, ServiceError
from matcaps.service.settings import Settings

Running = asyncio.Task[InferenceResult]
# Turns a function of many calls into one of a single call, which collects calls that come together: ``serve.batch``.
Join = Callable[[Callable[[list[Call]], Awaitable[list[Running]]]], Callable[[Call], Awaitable[Running]]]


class JoinedVersion(ModelVersion):
    """A version whose calls come one by one, and are started together.

    Args:
        name: The model's.
        version: A positive integer.
        session: One of its sessions.
        instances: One for each device.
        ledger: The observer of their batches.
        join: Collects calls that come together.
    """

    def __init__(
        self, name: str, version: int, session: Session, instances: Sequence[ModelInstance], ledger: Ledger, join: Join
    ) -> None:
        super().__init__(name, version, session.metadata, session.provider, instances, Statistics())
        self._ledger = ledger
        # The joined function only starts the calls. If it waited for the results, each call would wait for the slowest,
        # and ``serve.batch`` would make batches of one while a batch runs; the service's own queue does that better.
        self._start = join(self._start_all)

    async def reply(self, call: Call) -> Reply:
        """The reply to a call. Cancelling it takes its samples out of the queue.

        Raises:
            ServiceError: There is no result.
        """
        result = await (await self._start(call))
        return Reply(result, self._ledger.take())

    async def _start_all(self, calls: list[Call]) -> list[Running]:
        return [asyncio.ensure_future(self.run(call.images, call.outputs, call.deadline_s)) for call in calls]


class Networks:
    """All models of the folder, ready to run in this process.

    Args:
        settings: The settings of the service.
        load: Opens a model file: one session for each device. Raises ValueError with a reason if it cannot be served.
        join: Collects calls that come together.
        clock: Monotonic clock in seconds.

    Raises:
        StartError: There is no folder of models, or the default model cannot be served.
    """

    def __init__(self, settings: Settings, load: Load, join: Join, clock: Callable[[], float] = time.monotonic) -> None:
        def load_version(name: str, version: int, path: Path) -> JoinedVersion:
            ledger, sessions = Ledger(), load(path)
            batchers = start_batchers(settings, sessions, [ledger], clock)
            return JoinedVersion(name, version, sessions[0], batchers, ledger, join)

        self._clock = clock
        self._repository = Repository(settings.models, settings.default_model, load_version)
        self._reloader = Reloader(self._repository.refresh, settings.poll_s)

    async def describe(self, name: str, version: int) -> Description | str:
        """A version, or the reason why it is not served here."""
        try:
            await self._look_for(name, version)
            found = self._repository.find(ModelRef(name, version))
        except NotFoundError as error:
            reasons = [why for *key, why in self._repository.index().refused if key == [name, version]]
            return reasons[0] if reasons else str(error)
        return Description(found.metadata, found.provider)

    async def run(
        self, name: str, version: int, images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float
    ) -> Reply:
        """The named outputs (None: all) of a version for samples that may wait so many seconds for a batch."""
        call = Call(images, outputs, self._clock() + wait_s)
        try:
            await self._look_for(name, version)
            found = self._repository.acquire(ModelRef(name, version))
            try:
                assert isinstance(found, JoinedVersion)
                return await found.reply(call)
            finally:
                found.release()
        except ServiceError as error:
            return Reply(error)

    def close(self) -> None:
        """Run what waits, and end all threads."""
        self._reloader.close()
        self._repository.close()

    async def _look_for(self, name: str, version: int) -> None:
        """Refresh if a version is not loaded: the entrance may have found its file first."""
        if version not in self._repository.index().versions(name):
            await asyncio.to_thread(self._repository.refresh)
