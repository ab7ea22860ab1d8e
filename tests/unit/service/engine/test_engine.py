"""The engine without HTTP: admission, deadlines, leases, reload, failure and kept poses."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from matcaps.service.backends.session import Session
from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.loader import local_loader
from matcaps.service.engine.local import LocalEngine
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.errors import (
    ExpiredError,
    InferenceError,
    NotFoundError,
    NotReadyError,
    QueueFullError,
    RefusedModelError,
    StartError,
)
from matcaps.service.poses.memory import InMemoryPoseStore
from matcaps.service.settings import Settings
from tests.support.batching import LIMIT_S, began, first_elements, samples, waits
from tests.support.doubles import FakeClock, FakeSession, GatedSession, fake_models

NORB = ModelRef("norb")
KEPT_S = 600.0


@asynccontextmanager
async def running(
    folder: Path, sessions: Mapping[str, Session], clock: FakeClock | None = None, **settings: object
) -> AsyncIterator[LocalEngine]:
    """An engine that has started, over fake sessions (the first is the default); gates open at the end."""
    clock = clock or FakeClock()
    default = next(iter(sessions)).partition("/")[0]
    chosen = Settings.model_validate({"models": folder, "default_model": default, **settings})
    loader = local_loader(chosen, fake_models(folder, sessions), clock)
    engine = LocalEngine(chosen, loader, InMemoryPoseStore(10, KEPT_S, clock), clock=clock)
    engine.start()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield engine
    finally:
        for session in sessions.values():
            if isinstance(session, GatedSession):
                session.gate.release(99)
        await engine.close()


async def ask(
    engine: LocalEngine,
    level: int,
    *,
    model: ModelRef = NORB,
    wait_s: float = 60.0,
    context: RequestContext | None = None,
) -> list[int]:
    """What a request with one sample of a grey level is answered."""
    context = context or RequestContext()
    with engine.lease(model, context) as version:
        return first_elements(await infer(engine, version, level, wait_s=wait_s, context=context))


async def infer(
    engine: LocalEngine, version: ModelVersion, level: int, *, wait_s: float = 60.0, context: RequestContext
) -> object:
    """The result of one sample under a lease."""
    return await engine.infer(version, samples(level), ["activations"], engine.clock() + wait_s, context)


@pytest.mark.anyio
async def test_a_request_is_answered_and_its_context_says_how(tmp_path: Path) -> None:
    """The lease notes the model, and the result notes the samples and the times."""
    clock, session, context = FakeClock(), GatedSession(), RequestContext()
    async with running(tmp_path, {"norb/1": session}, clock) as engine:
        task = asyncio.create_task(ask(engine, 7, context=context))
        await began(session)
        assert (context.model, context.images) == ("norb", 0)
        session.gate.release()
        assert await task == [7]
        assert context.images == 1
        assert context.queue_s == 0.0
        assert context.inference_s > 0.0


@pytest.mark.anyio
async def test_by_default_the_highest_version_of_the_default_model_answers(tmp_path: Path) -> None:
    """A request may name another model or version; an unknown one is refused."""
    sessions = {"norb/1": FakeSession(), "norb/2": FakeSession(), "other/1": FakeSession()}
    async with running(tmp_path, sessions) as engine:
        for model, found in (
            (ModelRef(), "norb/2"),
            (ModelRef(version=1), "norb/1"),
            (ModelRef("other"), "other/1"),
        ):
            with engine.lease(model, RequestContext()) as version:
                assert f"{version.name}/{version.version}" == found
        for model in (ModelRef("cat"), ModelRef("norb", 3)):
            with pytest.raises(NotFoundError), engine.lease(model, RequestContext()):
                pass


@pytest.mark.anyio
async def test_a_full_queue_refuses_the_lease(tmp_path: Path) -> None:
    """So a request is refused before its images are read and decoded; with room again it is admitted."""
    session = GatedSession()
    async with running(tmp_path, {"norb/1": session}, max_batch=1, max_queue=1) as engine:
        first = asyncio.create_task(ask(engine, 1))
        await began(session)
        second = asyncio.create_task(ask(engine, 2))
        await waits(first, second)
        context = RequestContext()
        with pytest.raises(QueueFullError), engine.lease(NORB, context):
            pass
        assert context.model == "norb"
        session.gate.release(9)
        assert [await first, await second] == [[1], [2]]
        assert await ask(engine, 3) == [3]


@pytest.mark.anyio
async def test_a_full_queue_refuses_samples_under_a_lease(tmp_path: Path) -> None:
    """The queue may have filled up while the images were decoded."""
    session, context = GatedSession(), RequestContext()
    async with running(tmp_path, {"norb/1": session}, max_batch=1, max_queue=1) as engine:
        with engine.lease(NORB, context) as version:
            first = asyncio.create_task(ask(engine, 1))
            await began(session)
            second = asyncio.create_task(ask(engine, 2))
            await waits(first, second)
            with pytest.raises(QueueFullError):
                await infer(engine, version, 3, context=context)
        session.gate.release(9)
        await asyncio.gather(first, second)
    assert context.images == 0


@pytest.mark.anyio
async def test_a_deadline_is_a_time_of_the_engines_clock(tmp_path: Path) -> None:
    """A request that it passes in the queue is refused and never runs; the statistics count it as failed."""
    clock, session = FakeClock(), GatedSession()
    async with running(tmp_path, {"norb/1": session}, clock, max_batch=1) as engine:
        first = asyncio.create_task(ask(engine, 1))
        await began(session)
        late = asyncio.create_task(ask(engine, 2, wait_s=5.0))
        await waits(late)
        clock.now_s += 5.0
        session.gate.release()
        with pytest.raises(ExpiredError):
            await late
        assert await first == [1]
        statistics = engine.find(NORB).statistics.as_json()["inference_stats"]
        assert (statistics["success"]["count"], statistics["fail"]["count"]) == (1, 1)
    assert len(session.batches) == 1


@pytest.mark.anyio
async def test_a_cancelled_request_leaves_the_queue_and_ends_its_lease(tmp_path: Path) -> None:
    """Its sample never runs."""
    session = GatedSession()
    async with running(tmp_path, {"norb/1": session}, max_batch=1) as engine:
        first = asyncio.create_task(ask(engine, 1))
        await began(session)
        second = asyncio.create_task(ask(engine, 2))
        await waits(second)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert engine.find(NORB).waiting == 0
        session.gate.release(9)
        assert await first == [1]
        version = engine.find(NORB)
        engine.unload("norb")
        assert version.stopped
    assert len(session.batches) == 1


@pytest.mark.anyio
async def test_a_request_ends_with_the_version_that_it_leased(tmp_path: Path) -> None:
    """A file that is replaced meanwhile serves the next request; the old version stops with its last lease."""
    old, new, context = FakeSession(), FakeSession(), RequestContext()
    sessions: dict[str, Session] = {"norb/1": old}
    async with running(tmp_path, sessions) as engine:
        with engine.lease(NORB, context) as version:
            sessions["norb/1"] = new
            (tmp_path / "norb" / "1" / "model.onnx").write_bytes(b"another file")
            engine.refresh()
            assert await ask(engine, 2) == [2]
            assert first_elements(await infer(engine, version, 1, context=context)) == [1]
            assert not version.stopped
        assert version.stopped
    assert [[int(batch.flat[0]) for batch in session.batches] for session in (old, new)] == [[1], [2]]


@pytest.mark.anyio
async def test_a_refresh_loads_new_versions_and_reports_refused_ones(tmp_path: Path) -> None:
    """The index lists what serves and what does not, and why."""
    sessions: dict[str, Session] = {"norb/1": FakeSession()}
    failed: list[tuple[str, int]] = []
    chosen = Settings(models=tmp_path, default_model="norb")
    open_fake = fake_models(tmp_path, sessions)

    def open_file(path: Path) -> list[Session]:
        if path.parent.name == "3":
            raise ValueError("broken")
        return open_fake(path)

    poses = InMemoryPoseStore(10, KEPT_S, FakeClock())
    loader = local_loader(chosen, open_file, FakeClock())
    engine = LocalEngine(chosen, loader, poses, load_failed=lambda name, version: failed.append((name, version)))
    sessions["norb/2"] = FakeSession()
    fake_models(tmp_path, {"norb/2": FakeSession(), "norb/3": FakeSession()})
    engine.refresh()
    index = engine.models()
    assert index.default == "norb"
    assert index.versions("norb") == [1, 2]
    assert index.refused == [("norb", 3, "broken")]
    assert failed == [("norb", 3)]
    with pytest.raises(RefusedModelError, match="version 3: broken; loaded: 1, 2"):
        engine.load("norb")
    await engine.close()


@pytest.mark.anyio
async def test_an_unloaded_model_is_refused_until_it_is_loaded(tmp_path: Path) -> None:
    """Without the default model the engine is not ready."""
    async with running(tmp_path, {"norb/1": FakeSession()}) as engine:
        engine.unload("norb")
        assert not engine.ready
        assert engine.models().unloaded == [("norb", 1)]
        with pytest.raises(NotFoundError):
            await ask(engine, 1)
        engine.load("norb")
        assert engine.ready
        assert await ask(engine, 1) == [1]


@pytest.mark.parametrize(
    ("failure", "last_element"), [(RuntimeError("out of memory"), 0.0), (None, np.nan), (None, np.inf)]
)
@pytest.mark.anyio
async def test_a_network_that_fails_fails_the_request_and_not_the_engine(
    tmp_path: Path, failure: Exception | None, last_element: float
) -> None:
    """An exception and a number that is not finite are the same error; the next request is answered."""
    session, context = FakeSession(), RequestContext()
    session.failure, session.last_element = failure, last_element
    async with running(tmp_path, {"norb/1": session}) as engine:
        with pytest.raises(InferenceError):
            await ask(engine, 1, context=context)
        assert (context.model, context.images, context.inference_s) == ("norb", 0, 0.0)
        session.failure, session.last_element = None, 0.0
        assert engine.alive
        assert await ask(engine, 2) == [2]


@pytest.mark.anyio
async def test_an_engine_whose_thread_has_ended_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has to be started again."""
    async with running(tmp_path, {"norb/1": FakeSession()}) as engine:
        assert engine.alive
        monkeypatch.setattr(Batcher, "alive", property(lambda _: False))
        assert not engine.alive


@pytest.mark.anyio
async def test_a_draining_engine_is_not_ready_but_answers(tmp_path: Path) -> None:
    """A request that has come already is answered; after the end there are no leases."""
    async with running(tmp_path, {"norb/1": FakeSession()}) as engine:
        assert engine.ready
        with engine.lease(NORB, RequestContext()) as version:
            engine.drain()
            assert not engine.ready
            assert not engine.started
            context = RequestContext()
            assert first_elements(await infer(engine, version, 1, context=context)) == [1]
    with pytest.raises(NotReadyError):
        await ask(engine, 2)


@pytest.mark.anyio
async def test_kept_poses_are_found_by_their_owner_until_they_are_too_old(tmp_path: Path) -> None:
    """They stay the same after the model is gone, and other owners do not find them."""
    clock, context = FakeClock(), RequestContext(owner="ann")
    async with running(tmp_path, {"norb/1": FakeSession()}, clock) as engine:
        with engine.lease(NORB, context) as version:
            result = await engine.infer(version, samples(1, 2), ["poses"], engine.clock() + 60.0, context, "an-id")
        engine.unload("norb")
        kept = await engine.poses("an-id", "ann")
        described = {"name": "norb", "version": 1}
        assert (kept.id, kept.model, kept.classes) == ("an-id", described, version.metadata.classes)
        np.testing.assert_array_equal(kept.poses, result.arrays["poses"])
        for owner in ("", "bob"):
            with pytest.raises(NotFoundError):
                await engine.poses("an-id", owner)
        clock.now_s += KEPT_S
        with pytest.raises(NotFoundError):
            await engine.poses("an-id", "ann")


@pytest.mark.anyio
async def test_kept_poses_are_a_copy(tmp_path: Path) -> None:
    """The array of a result may be a view of a whole batch, which must not stay in memory."""
    context = RequestContext()
    async with running(tmp_path, {"norb/1": FakeSession()}) as engine:
        with engine.lease(NORB, context) as version:
            result = await engine.infer(version, samples(1), ["poses"], engine.clock() + 60.0, context, "an-id")
        assert not np.shares_memory((await engine.poses("an-id", "")).poses, result.arrays["poses"])


def test_an_engine_without_its_default_model_does_not_start(tmp_path: Path) -> None:
    """The error names the model."""
    chosen = Settings(models=tmp_path, default_model="norb")
    loader = local_loader(chosen, lambda path: [FakeSession()], FakeClock())
    with pytest.raises(StartError, match="norb"):
        LocalEngine(chosen, loader, InMemoryPoseStore(10, KEPT_S, FakeClock()))
