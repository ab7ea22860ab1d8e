"""Triton's official client, over a real socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.support.doubles import CLASSES, FakeSession, grey
from tests.support.listening import listening

PIXELS = np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1).repeat(8, 2).repeat(8, 3)
ACTIVATIONS = np.array([[0.010, 0.011, 0.012], [0.020, 0.021, 0.022], [0.030, 0.031, 0.032]])


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """A client of a service over a stand-in."""
    with listening(tmp_path, {"norb/1": FakeSession()}, model_control=True) as running:
        client = triton.InferenceServerClient(running.address.removeprefix("http://"))
        yield client
        client.close()


def pixels(binary: bool = True) -> Any:
    tensor = triton.InferInput("images", PIXELS.shape, "UINT8")
    tensor.set_data_from_numpy(PIXELS, binary_data=binary)
    return tensor


def test_what_is_there(client: Any) -> None:
    """Health, metadata, configuration, the repository and statistics."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("norb")
    assert client.is_model_ready("norb", "1")
    assert client.get_server_metadata()["name"] == "matcaps"
    assert client.get_model_metadata("norb")["platform"] == "onnxruntime_onnx"
    assert client.get_model_config("norb", "1")["max_batch_size"] == 64
    assert client.get_model_repository_index()[0]["state"] == "READY"
    client.infer("norb", [pixels()])
    assert client.get_inference_statistics("norb")["model_stats"][0]["inference_count"] == 3
    client.unload_model("norb")
    assert not client.is_model_ready("norb")
    client.load_model("norb")
    assert client.is_model_ready("norb")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_inference(client: Any, binary_in: bool, binary_out: bool) -> None:
    """Pixels in, activations and poses out, as bytes and as JSON."""
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("activations", "poses")]
    result = client.infer("norb", [pixels(binary_in)], outputs=outputs, request_id="a")
    np.testing.assert_allclose(result.as_numpy("activations"), ACTIVATIONS, atol=1e-6)
    assert result.as_numpy("poses").shape == (3, 3, 4, 4)
    assert result.get_response()["id"] == "a"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_encodings(client: Any, encoding: str) -> None:
    """Compressed bodies work in both directions."""
    result = client.infer(
        "norb", [pixels()], request_compression_algorithm=encoding, response_compression_algorithm=encoding
    )
    np.testing.assert_allclose(result.as_numpy("activations"), ACTIVATIONS, atol=1e-6)


def test_files(client: Any) -> None:
    """Encoded images."""
    files = np.array([grey(10), grey(20, 40, 40)], dtype=np.object_)
    tensor = triton.InferInput("files", [2], "BYTES")
    tensor.set_data_from_numpy(files)
    result = client.infer("norb", [tensor], model_version="1")
    np.testing.assert_allclose(result.as_numpy("activations"), ACTIVATIONS[:2], atol=1e-6)


def test_labels(client: Any) -> None:
    """The likeliest class of each sample."""
    result = client.infer("norb", [pixels()], outputs=[triton.InferRequestedOutput("activations", class_count=1)])
    assert [row[0].decode().split(":")[2] for row in result.as_numpy("activations")] == [CLASSES[-1]] * 3


def test_errors(client: Any) -> None:
    """The error of the client says what was wrong."""
    with pytest.raises(InferenceServerException, match="no model 'cat'"):
        client.infer("cat", [pixels()])
    with pytest.raises(InferenceServerException, match="no output 'none'"):
        client.infer("norb", [pixels()], outputs=[triton.InferRequestedOutput("none")])
