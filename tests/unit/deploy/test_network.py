"""One replica: the service's models and batches, without Ray."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.ray.messages import Call, Description, Ledger, Reply
from deploy.ray.network import Networks, Running
from matcaps.service.backends.session import Session
from matcaps.service.engine.delivery import InferenceResult
from matcaps.service.engine.loader import opener_of
from matcaps.service.errors import ExpiredError, InferenceError, NotFoundError, ServiceError, StartError
from matcaps.service.settings import Settings
from matcaps.service.telemetry.batches import BatchReport
from tests.support.doubles import FakeSession, GatedSession, fake_models, make_model, write_model

LONG_S = 60.0


def at_once(handle: Callable[[list[Call]], Awaitable[list[Running]]]) -> Callable[[Call], Awaitable[Running]]:
    """A join that starts each call as it comes."""

    async def begin(call: Call) -> Running:
        return (await handle([call]))[0]

    return begin


def networks(folder: Path, sessions: dict[str, Session]) -> Networks:
    settings = Settings(models=folder, default_model=next(iter(sessions)).partition("/")[0], max_batch=4)
    return Networks(settings, fake_models(folder, sessions), at_once)


def levels(*values: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Images of one grey level each."""
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1).repeat(8, 2).repeat(8, 3)


@pytest.mark.anyio
async def test_calls_that_come_together_share_a_batch(tmp_path: Path) -> None:
    """Each call gets its own rows, and the replies carry the batches."""
    session = GatedSession()
    replica = networks(tmp_path, {"caps/1": session})
    calls = [
        asyncio.create_task(replica.run("caps", 1, levels(level), ["activations"], LONG_S)) for level in (10, 20, 30)
    ]
    await asyncio.to_thread(session.wait_until_entered)
    session.gate.release(3)
    replies = await asyncio.gather(*calls)
    for reply, level in zip(replies, (10, 20, 30), strict=True):
        assert isinstance(reply.outcome, InferenceResult)
        np.testing.assert_allclose(reply.outcome.arrays["activations"][0, 0], level / 1000, rtol=1e-6)
    batches = [batch.images for reply in replies for batch in reply.batches]
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
    assert isinstance(reply.outcome, InferenceResult)
    np.testing.assert_array_equal(again.outcome.arrays["poses"], reply.outcome.arrays["poses"])
    assert [batch.images for batch in again.batches] == [1]
    session.failure = RuntimeError("out of memory")
    failed = pickle.loads(pickle.dumps(await replica.run("caps", 1, levels(10), None, LONG_S)))
    assert type(failed.outcome) is InferenceError
    replica.close()


@pytest.mark.parametrize(("name", "wait_s", "kind"), [("nobody", LONG_S, NotFoundError), ("caps", -1.0, ExpiredError)])
@pytest.mark.anyio
async def test_errors_are_returned_and_not_raised(
    tmp_path: Path, name: str, wait_s: float, kind: type[ServiceError]
) -> None:
    """Ray would change the class of an exception."""
    replica = networks(tmp_path, {"caps/1": FakeSession()})
    reply = await replica.run(name, 1, levels(10), None, wait_s)
    assert type(reply.outcome) is kind
    replica.close()


@pytest.mark.anyio
async def test_a_version_that_the_entrance_found_first_is_loaded_when_its_samples_come(tmp_path: Path) -> None:
    """A replica refreshes its models if a call names an unknown version."""
    sessions: dict[str, Session] = {"caps/1": FakeSession()}
    replica = networks(tmp_path, sessions)
    sessions["caps/2"] = FakeSession()
    fake_models(tmp_path, {"caps/2": sessions["caps/2"]})
    reply = await replica.run("caps", 2, levels(10), None, LONG_S)
    assert isinstance(reply.outcome, InferenceResult)
    replica.close()


@pytest.mark.anyio
async def test_a_replica_describes_a_version_or_says_why_it_cannot(tmp_path: Path) -> None:
    """The entrance opens no model file: it asks a replica."""
    write_model(tmp_path, "caps", 1, make_model())
    write_model(tmp_path, "caps", 2, b"no model")
    settings = Settings(models=tmp_path, default_model="caps", device="cpu", threads=1)
    replica = Networks(settings, opener_of(settings), at_once)
    found = await replica.describe("caps", 1)
    assert isinstance(found, Description)
    assert (found.metadata.classes[0], found.provider) == ("animal", "CPUExecutionProvider")
    refused, unknown = await replica.describe("caps", 2), await replica.describe("caps", 3)
    assert isinstance(refused, str)
    assert "not an ONNX file" in refused
    assert unknown == "caps has no version 3; there are 1"
    replica.close()


def test_a_replica_without_its_default_model_does_not_start(tmp_path: Path) -> None:
    """The error names the model."""
    with pytest.raises(StartError, match="nobody"):
        Networks(Settings(models=tmp_path, default_model="nobody"), lambda _: [FakeSession()], at_once)


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_the_queue(tmp_path: Path) -> None:
    """Its samples never run if no batch has taken them."""
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
    """So each is counted once."""
    ledger = Ledger()
    ledger.observe(BatchReport(3, 1, [0.5], 0.25))
    assert ledger.take() == [BatchReport(3, 1, [0.5], 0.25)]
    assert ledger.take() == []
    assert Reply(NotFoundError("no")).batches == ()
