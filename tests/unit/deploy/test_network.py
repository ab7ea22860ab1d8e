"""The networks of a replica, without Ray around them."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.ray.messages import Call, Description, Ledger, Ran, Reply
from deploy.ray.network import Networks, Running
from matcaps.service.backends.session import Session
from matcaps.service.engine.batcher import InferenceResult
from matcaps.service.engine.loader import load_as_set
from matcaps.service.errors import ExpiredError, InferenceError, NotFoundError, ServiceError, StartError
from matcaps.service.settings import Settings
from tests.support.doubles import FakeSession, GatedSession, fake_models, make_model, write_model

LONG_S = 60.0


def at_once(handle: Callable[[list[Call]], Awaitable[list[Running]]]) -> Callable[[Call], Awaitable[Running]]:
    """Hands on each call as it comes."""

    async def begin(call: Call) -> Running:
        return (await handle([call]))[0]

    return begin


def networks(folder: Path, sessions: dict[str, Session]) -> Networks:
    settings = Settings(models=folder, default_model=next(iter(sessions)).partition("/")[0], max_batch=4)
    return Networks(settings, fake_models(folder, sessions), at_once)


def levels(*values: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Even images of these greys."""
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1).repeat(8, 2).repeat(8, 3)


@pytest.mark.anyio
async def test_calls_that_come_together_share_a_batch(tmp_path: Path) -> None:
    """What waits when the network is free runs at once, and each call gets its own rows; the batches come along."""
    session = GatedSession()
    replica = networks(tmp_path, {"caps/1": session})
    calls = [
        asyncio.create_task(replica.run("caps", 1, levels(level), ["activations"], LONG_S)) for level in (10, 20, 30)
    ]
    await asyncio.to_thread(session.wait_until_entered)
    session.gate.release(3)
    replies = await asyncio.gather(*calls)
    for reply, level in zip(replies, (10, 20, 30), strict=True):
        assert isinstance(reply.said, InferenceResult)
        np.testing.assert_allclose(reply.said.arrays["activations"][0, 0], level / 1000, rtol=1e-6)
    batches = [ran.images for reply in replies for ran in reply.batches]
    assert sum(batches) == 3
    assert len(batches) < 3
    replica.close()


@pytest.mark.anyio
async def test_replies_cross_processes(tmp_path: Path) -> None:
    """A reply is the same after pickling, an error included."""
    session = FakeSession()
    replica = networks(tmp_path, {"caps/1": session})
    reply = await replica.run("caps", 1, levels(10), None, LONG_S)
    again = pickle.loads(pickle.dumps(reply))
    assert isinstance(reply.said, InferenceResult)
    np.testing.assert_array_equal(again.said.arrays["poses"], reply.said.arrays["poses"])
    assert [ran.images for ran in again.batches] == [1]
    session.failure = RuntimeError("out of memory")
    failed = pickle.loads(pickle.dumps(await replica.run("caps", 1, levels(10), None, LONG_S)))
    assert type(failed.said) is InferenceError
    replica.close()


@pytest.mark.parametrize(("name", "wait_s", "kind"), [("nobody", LONG_S, NotFoundError), ("caps", -1.0, ExpiredError)])
@pytest.mark.anyio
async def test_what_cannot_be_run_is_said_and_not_raised(
    tmp_path: Path, name: str, wait_s: float, kind: type[ServiceError]
) -> None:
    """Ray would give an exception another class."""
    replica = networks(tmp_path, {"caps/1": FakeSession()})
    reply = await replica.run(name, 1, levels(10), None, wait_s)
    assert type(reply.said) is kind
    replica.close()


@pytest.mark.anyio
async def test_a_version_that_the_entrance_saw_first_is_looked_for(tmp_path: Path) -> None:
    """Nobody needs to tell a replica of a new version before samples for it come."""
    sessions: dict[str, Session] = {"caps/1": FakeSession()}
    replica = networks(tmp_path, sessions)
    sessions["caps/2"] = FakeSession()
    fake_models(tmp_path, {"caps/2": sessions["caps/2"]})
    reply = await replica.run("caps", 2, levels(10), None, LONG_S)
    assert isinstance(reply.said, InferenceResult)
    replica.close()


@pytest.mark.anyio
async def test_a_version_is_described_or_the_reason_why_not(tmp_path: Path) -> None:
    """The entrance opens no file: it asks."""
    write_model(tmp_path, "caps", 1, make_model())
    write_model(tmp_path, "caps", 2, b"no model")
    settings = Settings(models=tmp_path, default_model="caps", device="cpu", threads=1)
    replica = Networks(settings, load_as_set(settings), at_once)
    found = await replica.describe("caps", 1)
    assert isinstance(found, Description)
    assert (found.metadata.classes[0], found.provider) == ("animal", "CPUExecutionProvider")
    refused, unknown = await replica.describe("caps", 2), await replica.describe("caps", 3)
    assert isinstance(refused, str)
    assert "not an ONNX file" in refused
    assert unknown == "caps has no version 3; there are 1"
    replica.close()


def test_a_replica_without_its_default_model_does_not_start(tmp_path: Path) -> None:
    """As the service does not."""
    with pytest.raises(StartError, match="nobody"):
        Networks(Settings(models=tmp_path, default_model="nobody"), lambda _: [FakeSession()], at_once)


@pytest.mark.anyio
async def test_whoever_hangs_up_leaves_the_queue(tmp_path: Path) -> None:
    """A call that is cancelled before its batch never runs."""
    session = GatedSession()
    replica = networks(tmp_path, {"caps/1": session})
    first = asyncio.create_task(replica.run("caps", 1, levels(10), None, LONG_S))
    await asyncio.to_thread(session.wait_until_entered)
    second = asyncio.create_task(replica.run("caps", 1, levels(20), None, LONG_S))
    for _ in range(5):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    session.gate.release(9)
    await first
    await asyncio.to_thread(replica.close)
    assert [len(batch) for batch in session.batches] == [1]


def test_a_ledger_gives_each_batch_once() -> None:
    """Whoever takes it counts it."""
    ledger = Ledger()
    ledger.batch(images=3, padding=1, waits_s=[0.5], taken_s=0.25, origins=[])
    assert ledger.take() == [Ran(3, 1, [0.5], 0.25)]
    assert ledger.take() == []
    assert Reply(NotFoundError("no")).batches == ()
