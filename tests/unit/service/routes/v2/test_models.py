"""Metadata, configuration, readiness and statistics of server and models."""

from pathlib import Path

import pytest

from matcaps import __version__
from tests.support.doubles import Client, FakeSession, output_shapes, serve
from tests.support.protocol import INFER, images


def test_metadata_describes_the_server_and_the_models(client: Client) -> None:
    """The server names its extensions, a model its versions, inputs and outputs."""
    server = client.get("/v2").json()
    assert (server["name"], server["version"]) == ("matcaps", __version__)
    assert "binary_tensor_data" in server["extensions"]
    model = client.get("/v2/models/stereo").json()
    assert model["versions"] == ["1"]
    assert model["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 2, 8, 8]},
        {"name": "files", "datatype": "BYTES", "shape": [-1, 2]},
    ]
    shapes = {output["name"]: tuple(output["shape"]) for output in model["outputs"]}
    assert shapes == {name: (-1, *shape) for name, shape in output_shapes(channels=2).items()}
    assert client.get("/v2/models/norb/versions/1").json()["versions"] == ["1", "2"]


def test_the_configuration_has_triton_s_names_and_the_limits_of_the_settings(client: Client) -> None:
    """A model's configuration and that of its version are one; batches are those that a request may have."""
    config = client.get("/v2/models/norb/config").json()
    assert client.get("/v2/models/norb/versions/1/config").json() == config
    assert (config["name"], config["platform"], config["max_batch_size"]) == ("norb", "onnxruntime_onnx", 64)
    assert config["input"][0] == {"name": "images", "data_type": "TYPE_UINT8", "dims": [1, 8, 8], "optional": True}
    assert config["input"][1] == {"name": "files", "data_type": "TYPE_STRING", "dims": [1], "optional": True}
    assert config["dynamic_batching"] == {"preferred_batch_size": [8], "max_queue_delay_microseconds": 0}
    metadata = client.get("/v2/models/norb").json()
    assert [(one["name"], [-1, *one["dims"]]) for one in config["output"]] == [
        (one["name"], one["shape"]) for one in metadata["outputs"]
    ]
    assert "model_configuration" in client.get("/v2").json()["extensions"]


def test_the_configuration_counts_pairs_and_knows_the_longest_wait(tmp_path: Path) -> None:
    """A stereo model takes half as many samples per request; a batch never exceeds a request."""
    sessions = {"norb/1": FakeSession(channels=2)}
    with serve(tmp_path, sessions, max_images=9, max_wait_ms=2.5) as client:
        config = client.get("/v2/models/norb/config").json()
    assert config["max_batch_size"] == 4
    assert config["dynamic_batching"] == {"preferred_batch_size": [4], "max_queue_delay_microseconds": 2500}


@pytest.mark.parametrize("path", ["/v2/models/cat/config", "/v2/models/norb/versions/9/config"])
def test_there_is_no_configuration_of_an_unknown_model(client: Client, path: str) -> None:
    """The error has the form of the protocol."""
    answer = client.get(path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_readiness_is_of_the_server_a_model_or_a_version(client: Client) -> None:
    """An unknown model is 404."""
    for path in ("health/live", "health/ready", "models/norb/ready", "models/norb/versions/1/ready"):
        assert client.get(f"/v2/{path}").status_code == 200
    assert client.get("/v2/models/cat/ready").status_code == 404


def test_statistics_count_requests_samples_and_batches(client: Client) -> None:
    """Each version has its own."""
    client.post(INFER, json={"inputs": [images(*range(10))]})
    (of_norb,) = client.get("/v2/models/norb/stats").json()["model_stats"]
    assert (of_norb["version"], of_norb["inference_count"], of_norb["execution_count"]) == ("2", 10, 2)
    assert of_norb["inference_stats"]["success"]["count"] == 1
    assert [batch["batch_size"] for batch in of_norb["batch_stats"]] == [2, 8]
    for counted in (of_norb["inference_stats"], *of_norb["batch_stats"]):  # perf_analyzer ends if the counts differ
        counts = {counted[f"compute_{part}"]["count"] for part in ("input", "infer", "output")}
        assert len(counts) == 1
    assert of_norb["inference_stats"]["compute_infer"]["ns"] > 0
    everything = client.get("/v2/models/stats").json()["model_stats"]
    assert [row["inference_count"] for row in everything] == [0, 10, 0]


def test_statistics_count_failures_apart(client: Client, session: FakeSession) -> None:
    """A request that was admitted and failed is not a success."""
    session.failure = RuntimeError("no")
    client.post(INFER, json={"inputs": [images(1)]})
    (of_norb,) = client.get("/v2/models/norb/stats").json()["model_stats"]
    assert (of_norb["inference_stats"]["fail"]["count"], of_norb["inference_stats"]["success"]["count"]) == (1, 0)
