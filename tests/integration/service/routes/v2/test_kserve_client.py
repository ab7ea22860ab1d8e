"""KServe's official client, over a real socket."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.support.doubles import FakeSession, grey
from tests.support.listening import listening

PIXELS = np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1).repeat(8, 2).repeat(8, 3)
ACTIVATIONS = np.array([[0.010, 0.011, 0.012], [0.020, 0.021, 0.022], [0.030, 0.031, 0.032]])

T = TypeVar("T")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where a service over a stand-in listens."""
    with listening(tmp_path, {"norb/1": FakeSession()}) as running:
        yield running.address


def ask(question: Callable[[Any], Awaitable[T]]) -> T:
    """What a client of protocol v2 is told."""

    async def asked() -> T:
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(asked())


def request(tensor: InferInput, outputs: list[RequestedOutput] | None = None) -> InferRequest:
    return InferRequest("norb", [tensor], request_id="a", request_outputs=outputs)


def pixels(binary: bool) -> InferInput:
    tensor = InferInput("images", list(PIXELS.shape), "UINT8")
    tensor.set_data_from_numpy(PIXELS, binary_data=binary)
    return tensor


def test_health(address: str) -> None:
    """The server and the model are there, and another model is not."""
    assert ask(lambda client: client.is_server_live(address))
    assert ask(lambda client: client.is_server_ready(address))
    assert ask(lambda client: client.is_model_ready(address, "norb"))
    assert not ask(lambda client: client.is_model_ready(address, "cat"))


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_inference(address: str, binary_in: bool, binary_out: bool) -> None:
    """Pixels in, activations and poses out, as bytes and as JSON."""
    outputs = [RequestedOutput(name, {"binary_data": binary_out}) for name in ("activations", "poses")]
    answer: Any = ask(lambda client: client.infer(address, request(pixels(binary_in), outputs), "norb"))
    assert (answer.id, answer.model_name) == ("a", "norb")
    activations, poses = answer.outputs
    np.testing.assert_allclose(activations.as_numpy(), ACTIVATIONS, atol=1e-6)
    assert poses.as_numpy().shape == (3, 3, 4, 4)


def test_files(address: str) -> None:
    """Encoded images."""
    tensor = InferInput("files", [2], "BYTES")
    tensor.set_data_from_numpy(np.array([grey(10), grey(20, 40, 40)], np.object_), binary_data=True)
    answer: Any = ask(lambda client: client.infer(address, request(tensor), "norb"))
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), ACTIVATIONS[:2], atol=1e-6)


def test_errors(address: str) -> None:
    """The error of the client says what was wrong."""
    tensor = InferInput("pictures", list(PIXELS.shape), "UINT8")
    tensor.set_data_from_numpy(PIXELS, binary_data=True)
    with pytest.raises(Exception, match="400"):
        ask(lambda client: client.infer(address, request(tensor), "norb"))
