"""The engine's side of all HTTP workers: what they must know, and their metrics as one."""

import asyncio
import itertools
import socket
from collections.abc import Callable

from matcaps.service.engine.local import LocalEngine
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import QueueFullError
from matcaps.service.keys import Keys
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics, expose
from matcaps.service.workers.announcements import Described, Index, Start, State
from matcaps.service.workers.connection import WorkerConnection
from matcaps.service.workers.counts import Counts, MergedMetrics, add_counts

ROOM_S = 0.001  # how often a full queue is looked at
TICK_S = 1.0  # how often the state of networks and workers is looked at
SILENT_S = 30.0  # a worker sends its counts every second; one that is silent for so long hangs
ANSWER_S = 5.0  # longest wait for a worker to follow an index, or to send its counts


class Dispatcher:
    """Serves all workers with one engine. Belongs to the engine's event loop.

    Args:
        engine: The engine of this process.
        settings: The settings of the service, which say how many workers there must be.
        keys: The API keys, which workers get from here.
        metrics: The metrics of this process.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self, engine: LocalEngine, settings: Settings, keys: Keys, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self.engine, self._settings, self._keys, self._metrics, self._clock = engine, settings, keys, metrics, clock
        self.workers: set[WorkerConnection] = set()
        self._gone: Counts = {}  # of workers that have gone
        self._changed = asyncio.Event()
        self._serials: dict[ModelVersion, int] = {}
        self._next_serial = itertools.count()
        self._number = 0
        self._index = self._describe()
        self._state, self._announced_keys = self.state(), dict(keys.names)
        self._loading: dict[int, ModelVersion] = {}  # got samples in this turn
        self._full: dict[int, ModelVersion] = {}
        self.draining = False
        self._complete = False  # whether all workers have been ready once
        self.on_complete: Callable[[], None] = lambda: None

    async def connect(self, end: socket.socket) -> WorkerConnection:
        """Serve a new worker at the other end of a socket."""
        worker = WorkerConnection(self, self._clock)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker.channel, sock=end)
        self.announce()
        self.workers.add(worker)  # after that: the first thing that a worker hears is Start
        for serial, version in self._loaded():
            worker.hold(serial, version)
        worker.announce(Start(self._settings, self._announced_keys, self._state, self._index))
        if self.draining:
            worker.channel.send("drain")
        return worker

    def state(self) -> State:
        """The state of engine and workers: without one of its workers the service is not alive."""
        now = self._clock()
        alive = [worker for worker in self.workers if worker.ready and now - worker.heard_s < SILENT_S]
        complete = not self.engine.started or len(alive) >= self._settings.http_workers
        return State(self.engine.started, self.engine.ready, self.engine.alive and complete)

    def announce(self) -> None:
        """Tell all workers what has changed of the versions, the keys and the state."""
        index = self._describe()
        if index is not self._index:
            self._index = index
            for worker in self.workers:
                for serial, version in self._loaded():
                    worker.hold(serial, version)
                worker.announce(index)
        if self._keys.names != self._announced_keys:
            self._announced_keys = dict(self._keys.names)
            for worker in self.workers:
                worker.channel.send("keys", self._announced_keys)
        if (state := self.state()) != self._state:
            self._state = state
            for worker in self.workers:
                worker.announce(state)

    def drain(self) -> None:
        """Tell all workers to answer what has begun, and to end."""
        self.draining = True
        self.engine.drain()
        self.announce()
        for worker in self.workers:
            worker.channel.send("drain")

    def note_load(self, serial: int, version: ModelVersion) -> None:
        if not self._loading:
            asyncio.get_running_loop().call_soon(self._look_for_full)
        self._loading[serial] = version

    async def change(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        finally:
            self.announce()
            number = self._index.number
            await self._wait_for(lambda: all(worker.index >= number for worker in self.workers))

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        before = {worker: worker.counted for worker in self.workers}
        for worker in before:
            worker.channel.send("count")
        await self._wait_for(lambda: all(one.counted > count or one.gone.is_set() for one, count in before.items()))
        return expose(MergedMetrics(self._metrics.registry, self._counts), accept)

    def changed(self) -> None:
        for worker in [worker for worker in self.workers if worker.gone.is_set()]:
            self.workers.remove(worker)
            add_counts(self._gone, worker.counts)
        if (
            not self._complete
            and len([worker for worker in self.workers if worker.ready]) >= self._settings.http_workers
        ):
            self._complete = True
            self.engine.start()
            self.on_complete()
        self.announce()  # each second too, with the counts: of a network that has failed, or that the kernel routes now
        self._changed.set()

    async def wait_until_ready(self, worker: WorkerConnection) -> bool:
        """Wait until a worker listens; false if it goes before that."""
        while not worker.ready and not worker.gone.is_set():
            await self._next_change()
        return worker.ready

    def _counts(self) -> Counts:
        total = dict(self._gone)
        for worker in self.workers:
            add_counts(total, worker.counts)
        return total

    def _look_for_full(self) -> None:
        for serial, version in self._loading.items():
            try:
                version.check_room()
            except QueueFullError as error:
                if serial not in self._full:
                    if not self._full:
                        asyncio.get_running_loop().call_later(ROOM_S, self._look_for_room)
                    self._full[serial] = version
                    for worker in self.workers:
                        worker.channel.send("full", serial, str(error), error.retry_after_s)
        self._loading.clear()

    def _look_for_room(self) -> None:
        for serial, version in list(self._full.items()):
            try:
                version.check_room()
            except QueueFullError:
                continue
            del self._full[serial]
            for worker in self.workers:
                worker.channel.send("room", serial)
        if self._full:
            asyncio.get_running_loop().call_later(ROOM_S, self._look_for_room)

    def _loaded(self) -> list[tuple[int, ModelVersion]]:
        return [(serial, version) for version, serial in self._serials.items()]

    def _describe(self) -> Index:
        """The index as it is now; the same object if nothing has changed."""
        found = self.engine.models()
        serials = {version: self._serials.get(version) for version in found.loaded}
        self._serials = {
            version: next(self._next_serial) if serial is None else serial for version, serial in serials.items()
        }
        loaded = [
            Described(serial, version.name, version.version, version.metadata, version.provider, version.backend)
            for version, serial in self._serials.items()
        ]
        refused, unloaded = list(found.refused), list(found.unloaded)
        if self._number:
            last = self._index
            rows, last_rows = ([(row.serial, row.backend) for row in of] for of in (loaded, last.loaded))
            if (rows, refused, unloaded) == (last_rows, last.refused, last.unloaded):
                return last
        self._number += 1
        return Index(self._number, found.default, loaded, refused, unloaded)

    async def _wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until something is so, but not forever: a worker may hang."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while not done():
                    await self._next_change()
        except TimeoutError:
            pass

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
