"""The engine's side of one HTTP worker: runs what the worker asks for."""

import asyncio
import logging
import math
import pickle
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import numpy as np

from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.engine import Engine
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.errors import NotReadyError, ServiceError
from matcaps.service.telemetry.traces import unpack_link
from matcaps.service.workers.frames import Channel

log = logging.getLogger("matcaps")


class Common(Protocol):
    """What the connections of all workers share; see ``Dispatcher``."""

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        ...

    def note_load(self, serial: int, version: ModelVersion) -> None:
        """In this turn of the event loop, samples come into the queue of a version."""
        ...

    async def change(self, work: Callable[[], None]) -> None:
        """Run blocking work that may change the versions, until all workers know."""
        ...

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all processes."""
        ...

    def changed(self) -> None:
        """A worker became ready, follows an index, has sent its counts, or has gone."""
        ...


class WorkerConnection:
    """One worker, as long as it lives. Belongs to the engine's event loop.

    Attributes:
        ready: Whether the worker listens.
        index: Number of the last index that the worker follows.
        counts: The worker's metrics, as it has last sent them, by ``pack_counts``.
        counted: How often it has sent them.
        heard_s: When it was last heard of.
        gone: Set once it has gone, and has let go of all that it held.
    """

    def __init__(self, common: Common, clock: Callable[[], float]) -> None:
        self._common, self._clock = common, clock
        self.channel = Channel(self._receive, self._lost)
        self.ready = False
        self.index = 0
        self.counts = b"[]"
        self.counted = 0
        self.heard_s = clock()
        self.gone = asyncio.Event()
        self._held: dict[int, ModelVersion] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    def hold(self, serial: int, version: ModelVersion) -> bool:
        """Hold a version for the worker; false if the version has been retired."""
        if serial not in self._held:
            if not version.acquire():
                return False
            self._held[serial] = version
        return True

    def announce(self, what: object) -> None:
        """Tell the worker something of ``announcements``."""
        self.channel.send("announce", payload=pickle.dumps(what))

    def _receive(self, kind: str, fields: list[Any], payload: memoryview) -> None:
        self.heard_s = self._clock()
        if kind == "infer":
            self._start(fields[0], self._infer(payload, *fields))
        elif kind == "cancel":
            if (task := self._running.get(fields[0])) is not None:
                task.cancel()
        elif kind == "poses":
            self._start(fields[0], self._poses(*fields))
        elif kind == "counts":
            self.counts = bytes(payload)
            self.counted += 1
            self._common.changed()
        elif kind == "release":
            if (version := self._held.pop(fields[0], None)) is not None:
                version.release()
        elif kind == "follows":
            self.index = fields[0]
            self._common.changed()
        elif kind == "ready":
            self.ready = True
            self._common.changed()
        elif kind == "statistics":
            self._start(fields[0], self._statistics(*fields))
        elif kind == "exposition":
            self._start(fields[0], self._exposition(*fields))
        elif kind in ("load", "unload", "refresh"):
            self._start(fields[0], self._change(kind, *fields))
        else:
            raise ValueError(f"no message is called {kind!r}")

    def _start(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        self._running[number] = asyncio.get_running_loop().create_task(self._answer(number, work))

    async def _answer(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ServiceError as error:
            retry_after_s = getattr(error, "retry_after_s", 0.0)
            self.channel.send("error", number, type(error).__name__, str(error), retry_after_s)
        except Exception:
            log.exception("a request of an HTTP worker failed")
            self.channel.send("error", number, "", "the engine failed on this request", 0.0)
        finally:
            del self._running[number]

    async def _infer(
        self,
        payload: memoryview,
        number: int,
        serial: int,
        shape: list[int],
        outputs: list[str] | None,
        deadline_s: float | None,
        poses_id: str,
        owner: str,
        link: str,
    ) -> None:
        version = self._holds(serial)
        images = np.frombuffer(payload, np.uint8).reshape(shape)
        context = RequestContext(owner=owner, trace_link=unpack_link(link))
        deadline_s = math.inf if deadline_s is None else deadline_s
        self._common.note_load(serial, version)
        result = await self._common.engine.infer(version, images, outputs, deadline_s, context, poses_id)
        layout = [(name, values.shape) for name, values in result.arrays.items()]
        content = b"".join([values.astype(np.float32, copy=False).tobytes() for values in result.arrays.values()])
        self.channel.send("answer", number, result.queue_s, result.inference_s, layout, payload=content)

    async def _poses(self, number: int, id_: str, owner: str) -> None:
        kept = await self._common.engine.poses(id_, owner)
        content = kept.poses.astype(np.float32, copy=False).tobytes()
        self.channel.send("answer", number, kept.model, kept.classes, kept.poses.shape, payload=content)

    async def _statistics(self, number: int, serial: int) -> None:
        self.channel.send("answer", number, await self._common.engine.statistics(self._holds(serial)))

    async def _exposition(self, number: int, accept: str) -> None:
        content, kind = await self._common.exposition(accept)
        self.channel.send("answer", number, kind, payload=content)

    async def _change(self, kind: str, number: int, *names: str) -> None:
        await self._common.change(lambda: getattr(self._common.engine, kind)(*names))
        self.channel.send("answer", number)

    def _holds(self, serial: int) -> ModelVersion:
        if serial not in self._held:  # retired while it was announced
            raise NotReadyError("the version has just been replaced; try again")
        return self._held[serial]

    def _lost(self) -> None:
        for task in self._running.values():
            task.cancel()
        for version in self._held.values():
            version.release()
        self._held.clear()
        self.gone.set()
        self._common.changed()
