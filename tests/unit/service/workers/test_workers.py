"""Several workers before one engine, within one process: what they share, and what a lost one leaves."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from matcaps.service.app import create_engine
from matcaps.service.backends.session import ROUTING_KERNEL, Backend, Session
from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.loader import local_loader
from matcaps.service.engine.local import LocalEngine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.errors import ExpiredError, QueueFullError
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.workers.dispatcher import Dispatcher
from matcaps.service.workers.remote import RemoteEngine
from matcaps.service.workers.worker import Worker
from tests.support.batching import LIMIT_S, began, first_elements, samples
from tests.support.doubles import FakeSession, GatedSession, fake_models
from tests.support.workers import started_workers

NORB = ModelRef("norb")
Running = tuple[LocalEngine, Dispatcher, list[Worker]]


@asynccontextmanager
async def running(folder: Path, sessions: Mapping[str, Session], **settings: object) -> AsyncIterator[Running]:
    """An engine with two workers, over fake sessions; gates open at the end."""
    chosen = Settings.model_validate({"models": folder, "default_model": "norb", "http_workers": 2, **settings})
    metrics = Metrics()
    loader = local_loader(chosen, fake_models(folder, sessions), time.monotonic)
    engine = create_engine(chosen, loader, metrics, None, time.monotonic)
    async with asyncio.timeout(LIMIT_S), started_workers(engine, chosen, metrics) as (dispatcher, workers):
        for worker in workers:
            worker.engine.start()
            worker.listens()
        await until(lambda: all(worker.engine.ready for worker in workers))
        try:
            yield engine, dispatcher, workers
        finally:
            for session in sessions.values():
                if isinstance(session, GatedSession):
                    session.gate.release(99)


async def until(done: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so."""
    while not done():
        await asyncio.sleep(0)


async def infer(engine: RemoteEngine, version: ModelVersion, level: int, wait_s: float = math.inf) -> list[int]:
    deadline_s = engine.clock() + wait_s
    result = await engine.infer(version, samples(level), ["activations"], deadline_s, RequestContext())
    return first_elements(result)


async def ask(worker: Worker, level: int, wait_s: float = math.inf) -> list[int]:
    with worker.engine.lease(NORB, RequestContext()) as version:
        return await infer(worker.engine, version, level, wait_s)


@pytest.mark.anyio
async def test_the_queue_counts_the_samples_of_all_workers(tmp_path: Path) -> None:
    """If one worker fills it, the other one refuses before it decodes, and admits again once there is room."""
    session = GatedSession()
    async with running(tmp_path, {"norb/1": session}, max_queue=2, max_batch=1) as (_, _, (one, other)):
        begun = [asyncio.create_task(ask(one, 1))]
        await began(session)
        begun += [asyncio.create_task(ask(one, level)) for level in (2, 3)]
        version = other.engine.find(NORB)

        def is_full() -> bool:
            try:
                version.check_room()
            except QueueFullError as error:
                return "2 images wait already" in str(error)
            return False

        await until(is_full)
        session.gate.release(9)
        assert await asyncio.gather(*begun) == [[1], [2], [3]]
        await until(lambda: not is_full())
        assert await ask(other, 4) == [4]


@pytest.mark.anyio
async def test_a_cancelled_request_and_a_late_one_leave_the_queue(tmp_path: Path) -> None:
    """As if they had been sent to the engine without a worker."""
    session = GatedSession()
    async with running(tmp_path, {"norb/1": session}, max_batch=1) as (engine, _, (one, other)):
        first = asyncio.create_task(ask(one, 1))
        await began(session)
        cancelled = asyncio.create_task(ask(other, 2))
        late = asyncio.create_task(ask(other, 3, wait_s=0.01))
        await until(lambda: engine.find(NORB).waiting == 2)
        cancelled.cancel()
        with pytest.raises(ExpiredError):
            await late
        await until(lambda: engine.find(NORB).waiting == 0)
        session.gate.release(1)
        assert await first == [1]
        assert len(session.batches) == 1


@pytest.mark.anyio
async def test_a_request_ends_with_the_version_that_it_began_with(tmp_path: Path) -> None:
    """A replaced version ends once every worker has let go of it, and every worker knows the new one after a load."""
    sessions: dict[str, Session] = {"norb/1": FakeSession()}
    async with running(tmp_path, sessions) as (engine, _, (one, other)):
        with one.engine.lease(NORB, RequestContext()) as leased:
            before = engine.find(NORB)
            await asyncio.to_thread(other.engine.load, "norb")  # the same file again is a new version to the engine
            assert engine.find(NORB) is not before
            assert one.engine.find(NORB) is not leased
            assert not before.stopped
            assert await infer(one.engine, leased, 5) == [5]
        await until(lambda: before.stopped)
        assert await ask(one, 6) == [6]


@pytest.mark.anyio
async def test_every_worker_knows_what_routes_a_version(tmp_path: Path) -> None:
    """Also once the kernel takes over from onnxruntime, while requests hold the version."""
    session = FakeSession()
    async with running(tmp_path, {"norb/1": session}) as (_, dispatcher, workers):
        for worker in workers:
            assert worker.engine.find(NORB).backend == session.backend
        before, context = workers[0].engine.find(NORB), RequestContext()
        session.backend = Backend(ROUTING_KERNEL, "")
        dispatcher.changed()  # as each second, when the counts of a worker come
        await until(lambda: all(worker.engine.find(NORB).backend.name == ROUTING_KERNEL for worker in workers))
        with workers[0].engine.lease(NORB, context) as version:
            assert version is before
        assert context.backend == ROUTING_KERNEL


@pytest.mark.anyio
async def test_a_worker_may_start_just_after_a_change(tmp_path: Path) -> None:
    """It hears of the versions as they are now, and of nothing before that."""
    session = FakeSession()
    async with running(tmp_path, {"norb/1": session}) as (_, dispatcher, _):
        session.backend = Backend(ROUTING_KERNEL, "")
        (ours, theirs), late = socket.socketpair(), Worker()
        await asyncio.gather(dispatcher.connect(ours), late.connect(theirs))
        assert late.engine.find(NORB).backend.name == ROUTING_KERNEL
        await late.close()


@pytest.mark.anyio
async def test_a_lost_worker_lets_go_of_everything(tmp_path: Path) -> None:
    """Its samples leave the queue, it holds no version, its counts stay, and the service is not alive without it."""
    session = GatedSession()
    async with running(tmp_path, {"norb/1": session}, max_batch=1) as (engine, dispatcher, (one, other)):
        one.metrics.unanswered.labels("made up").inc()
        first = asyncio.create_task(ask(other, 1))
        await began(session)
        waiting = asyncio.create_task(ask(one, 2))
        await until(lambda: engine.find(NORB).waiting == 1)
        assert other.engine.alive
        await one.close()
        await until(lambda: engine.find(NORB).waiting == 0)
        await until(lambda: not other.engine.alive)
        session.gate.release(1)
        assert await first == [1]
        waiting.cancel()
        before = engine.find(NORB)
        text = (await dispatcher.exposition(""))[0].decode()
        assert 'matcaps_refusals_total{reason="made up"} 1.0' in text
        await asyncio.to_thread(engine.unload, "norb")
        dispatcher.announce()
        await until(lambda: before.stopped)
