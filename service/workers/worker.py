"""The process of an HTTP worker: ``python -m matcaps.service.workers.worker CHANNEL LISTENER`` (file descriptors)."""

import asyncio
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from fastapi import FastAPI
from uvicorn.loops.auto import auto_loop_factory

from matcaps.service.app import create_front, pose_store, traces_of
from matcaps.service.collector import spare_loaded_objects
from matcaps.service.errors import QueueFullError
from matcaps.service.keys import AnnouncedKeys
from matcaps.service.poses.store import PoseStore
from matcaps.service.server import HttpServer
from matcaps.service.settings import Settings
from matcaps.service.telemetry.logs import configure
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.workers.announcements import Index, Start, State
from matcaps.service.workers.client import EngineClient
from matcaps.service.workers.counts import pack_counts
from matcaps.service.workers.remote import RemoteEngine, RemoteVersions

COUNTS_S = 1.0  # how often the engine hears of this process


class Worker:
    """What one HTTP worker knows of the engine. Belongs to one event loop; ``connect`` comes first.

    Args:
        lost: Called if the engine dies.

    Attributes:
        metrics: Of the requests of this worker.
        ending: Set when the worker must answer what has begun, and end.
    """

    settings: Settings
    keys: AnnouncedKeys
    engine: RemoteEngine
    _versions: RemoteVersions

    def __init__(self, lost: Callable[[], None] = lambda: None) -> None:
        self.metrics = Metrics(of_process=False)
        self.ending = asyncio.Event()
        self._client = EngineClient(self._hear, lost)
        self._started = asyncio.Event()

    async def connect(self, end: socket.socket) -> None:
        """Connect with the engine, and wait for all that it says at the start."""
        await self._client.connect(end)
        await self._started.wait()
        asyncio.get_running_loop().call_later(COUNTS_S, self._beat)

    def create_app(self, log: Any) -> FastAPI:
        """The application of this worker."""
        traces = traces_of(self.settings)
        return create_front(self.engine, self.settings, self.keys, self.metrics, traces, log, self._exposition)

    def listens(self) -> None:
        """Tell the engine that requests may come."""
        self._client.send("ready")

    async def close(self) -> None:
        """Send the last counts, and close the socket."""
        self._send_counts()
        self._client.close()
        await asyncio.sleep(0)

    async def _exposition(self, accept: str) -> tuple[bytes, str]:
        (kind,), content = await self._client.ask("exposition", accept)
        return bytes(content), kind

    def _hear(self, kind: str, fields: list[Any], payload: memoryview) -> None:
        if kind == "announce":
            self._take(pickle.loads(payload))
        elif kind == "keys":
            self.keys.replace(fields[0])
        elif kind == "full":
            serial, message, retry_after_s = fields
            self._versions.set_full(serial, QueueFullError(message, retry_after_s))
        elif kind == "room":
            self._versions.set_full(fields[0], None)
        elif kind == "count":
            self._send_counts()
        elif kind == "drain":
            self.engine.drain()
            self.ending.set()
        else:
            raise ValueError(f"no message is called {kind!r}")

    def _take(self, announced: object) -> None:
        if isinstance(announced, Start):
            self.settings = announced.settings
            self.keys = AnnouncedKeys(self.settings.api_keys is not None, announced.keys)
            self._versions = RemoteVersions(self._client, announced.index)
            self.engine = RemoteEngine(self._client, self._versions, announced.state, self._shared_poses())
            self._follows(announced.index)
            self._started.set()
        elif isinstance(announced, Index):
            self._versions.follow(announced)
            self._follows(announced)
        elif isinstance(announced, State):
            self.engine.state = announced

    def _follows(self, index: Index) -> None:
        self._client.send("follows", index.number)

    def _shared_poses(self) -> PoseStore | None:
        """A Redis is asked from here, which leaves the engine its time; memory must be the engine's."""
        return pose_store(self.settings, self.metrics, time.monotonic) if self.settings.poses_url else None

    def _beat(self) -> None:
        self._send_counts()
        asyncio.get_running_loop().call_later(COUNTS_S, self._beat)

    def _send_counts(self) -> None:
        self._client.send("counts", payload=pack_counts(self.metrics.registry))


class WorkerServer(HttpServer):
    """Serves until the worker is told to end; signals are for the engine process.

    Args:
        app: The application of the worker.
        worker: The worker.
    """

    def __init__(self, app: FastAPI, worker: Worker) -> None:
        super().__init__(app, worker.settings)
        self._worker = worker

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._worker.listens()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        pass


async def serve(end: socket.socket, listener: socket.socket) -> None:
    """Serve at a socket until the engine ends this worker."""
    worker = Worker(_die)
    await worker.connect(end)
    log = configure(worker.settings.log_format, worker.settings.log_level)
    server = WorkerServer(worker.create_app(log), worker)

    async def end_server() -> None:
        await worker.ending.wait()
        server.should_exit = True

    ending = asyncio.create_task(end_server())
    spare_loaded_objects()
    await server.serve([listener])
    ending.cancel()
    await worker.close()


def _die() -> None:
    """Without the engine nothing can be answered: end at once, as a service of one process that dies."""
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Serve at inherited sockets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all processes; the engine says what to do
    end, listener = (socket.socket(fileno=int(number)) for number in arguments)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serve(end, listener))


if __name__ == "__main__":
    main(sys.argv[1:])
