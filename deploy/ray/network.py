"""The networks of one replica: what the service runs in its own process, without HTTP before it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.ray.messages import Call, Description, Ledger, Reply
from matcaps.service.engine.batcher import InferenceResult
from matcaps.service.engine.loader import Load, Ready, ready_here
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.reload import Reloader
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import NotFoundError, ServiceError
from matcaps.service.settings import Settings

Running = asyncio.Task[InferenceResult]
# Makes of a function of many calls one of a single call, which hands on those that come together: ``serve.batch``.
Join = Callable[[Callable[[list[Call]], Awaitable[list[Running]]]], Callable[[Call], Awaitable[Running]]]


class Joined(ModelVersion):
    """A version whose calls come one by one, and go to its networks together.

    Args:
        name: The model's.
        version: A positive integer.
        ready: What it is, and its networks.
        ledger: Their observer.
        join: Hands on together what comes together.
    """

    def __init__(self, name: str, version: int, ready: Ready, ledger: Ledger, join: Join) -> None:
        super().__init__(name, version, ready.metadata, ready.provider, ready.networks, Statistics())
        self._ledger = ledger
        # It returns as soon as all have been handed on. Waiting for the answers instead would make each wait for the
        # slowest, and serve.batch makes batches of one of what comes while a batch runs: the service's own queue does
        # the better work there.
        self._begin = join(self._begin_all)

    async def reply(self, call: Call) -> Reply:
        """The answer to a call; whoever is cancelled is taken out of the queue.

        Raises:
            ServiceError: There is none.
        """
        answer = await (await self._begin(call))
        return Reply(answer, self._ledger.take())

    async def _begin_all(self, calls: list[Call]) -> list[Running]:
        return [asyncio.ensure_future(self.run(call.images, call.outputs, call.deadline_s)) for call in calls]


class Networks:
    """All models of the folder, ready to run in this process.

    Args:
        settings: What was set.
        load: The networks of a model file, one for each device; ValueError says why there are none.
        join: Hands on together what comes together.
        clock: Seconds that only grow.

    Raises:
        StartError: There is no folder, or the default model cannot be served.
    """

    def __init__(self, settings: Settings, load: Load, join: Join, clock: Callable[[], float] = time.monotonic) -> None:
        make_ready = ready_here(settings, load, clock)

        def open_version(name: str, version: int, path: Path) -> ModelVersion:
            ledger = Ledger()
            return Joined(name, version, make_ready(name, version, path, [ledger]), ledger, join)

        self._clock = clock
        self._repository = Repository(settings.models, settings.default_model, open_version)
        self._reloader = Reloader(self._repository.refresh, settings.poll_s)

    async def describe(self, name: str, version: int) -> Description | str:
        """What a version is, or why it is not served here."""
        try:
            await self._look_for(name, version)
            served = self._repository.find(name, version)
        except NotFoundError as error:
            reasons = [why for *key, why in self._repository.refused if key == [name, version]]
            return reasons[0] if reasons else str(error)
        return Description(served.metadata, served.provider)

    async def run(
        self, name: str, version: int, images: NDArray[np.uint8], outputs: Sequence[str] | None, wait_s: float
    ) -> Reply:
        """The named outputs (None: all) of a version for samples that may wait so long for their turn."""
        call = Call(images, outputs, self._clock() + wait_s)
        try:
            await self._look_for(name, version)
            with self._repository.use(name, version) as served:
                assert isinstance(served, Joined)
                return await served.reply(call)
        except ServiceError as error:
            return Reply(error)

    def close(self) -> None:
        """Run what waits, and end all threads."""
        self._reloader.close()
        self._repository.close()

    async def _look_for(self, name: str, version: int) -> None:
        """Look at the folder again if a version is not known: the entrance may have seen it first."""
        if version not in self._repository.versions(name):
            await asyncio.to_thread(self._repository.refresh)
