"""The routes of the Open Inference Protocol, as a client sees them."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from matcaps import __version__
from matcaps.service.backends.artefact import CLASS_OUTPUTS
from tests.support.doubles import CLASSES, Client, FakeSession, grey, output_shapes, serve

LENGTH = "inference-header-content-length"
INFER = "/v2/models/norb/infer"


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def client(tmp_path: Path, session: FakeSession) -> Iterator[Client]:
    sessions = {"norb/1": FakeSession(), "norb/2": session, "stereo/1": FakeSession(channels=2)}
    with serve(tmp_path, sessions, model_control=True) as client:
        yield client


def images(*levels: int) -> dict[str, Any]:
    data = [[[[level] * 8] * 8] for level in levels]
    return {"name": "images", "datatype": "UINT8", "shape": [len(levels), 1, 8, 8], "data": data}


def in_bytes(*levels: int, **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose pixels follow its JSON, and its headers."""
    tensor = {**images(*levels), "parameters": {"binary_data_size": 64 * len(levels)}}
    del tensor["data"]
    text = orjson.dumps({"inputs": [tensor], **more})
    pixels = np.array(levels, np.uint8).repeat(64).tobytes()
    return text + pixels, {LENGTH: str(len(text)), "content-type": "application/octet-stream"}


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


def test_readiness_is_of_the_server_a_model_or_a_version(client: Client) -> None:
    """An unknown model is 404."""
    for path in ("health/live", "health/ready", "models/norb/ready", "models/norb/versions/1/ready"):
        assert client.get(f"/v2/{path}").status_code == 200
    assert client.get("/v2/models/cat/ready").status_code == 404


def test_activations_and_poses_come_by_default(client: Client) -> None:
    """JSON in, JSON out, with the id of the request."""
    answer = client.post(INFER, json={"id": "a", "inputs": [images(10, 20)]})
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ("id", "model_name", "model_version")} == {
        "id": "a",
        "model_name": "norb",
        "model_version": "2",
    }
    activations, poses = answer.json()["outputs"]
    assert (activations["name"], activations["shape"], poses["shape"]) == ("activations", [2, 3], [2, 3, 4, 4])
    assert activations["data"] == pytest.approx([0.010, 0.011, 0.012, 0.020, 0.021, 0.022])


def test_any_output_comes_by_name(client: Client) -> None:
    """Bytes in, bytes out."""
    names = list(output_shapes())
    body, headers = in_bytes(
        10, 20, outputs=[{"name": name} for name in names], parameters={"binary_data_output": True}
    )
    answer = client.post(INFER, content=body, headers=headers)
    length = int(answer.headers[LENGTH])
    outputs = orjson.loads(answer.content[:length])["outputs"]
    place = length
    for output, (name, shape) in zip(outputs, output_shapes().items(), strict=True):
        size = output["parameters"]["binary_data_size"]
        values = np.frombuffer(answer.content[place : place + size], "<f4").reshape(2, *shape)
        assert (output["name"], output["shape"]) == (name, [2, *shape])
        assert values.ravel()[0] == pytest.approx(0.010)
        place += size
    assert place == len(answer.content)


def test_encoded_files_are_decoded_and_resized(client: Client, session: FakeSession) -> None:
    """A stereo model takes two files per sample."""
    files = [grey(10, 30, 30), grey(20)]
    blob = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    for name, shape, rows in (("norb", [2], 2), ("norb", [2, 1], 2), ("stereo", [1, 2], 1)):
        tensor = {"name": "files", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(blob)}}
        text = orjson.dumps({"inputs": [tensor]})
        answer = client.post(f"/v2/models/{name}/infer", content=text + blob, headers={LENGTH: str(len(text))})
        assert answer.json()["outputs"][0]["shape"] == [rows, 3]
    assert session.batches[0][:, 0, 0, 0].tolist() == [10, 20]


def test_classification_answers_labels(client: Client) -> None:
    """The classes with the highest activations come, highest first."""
    outputs = [{"name": "activations", "parameters": {"classification": 2}}]
    answer = client.post(INFER, json={"inputs": [images(10)], "outputs": outputs}).json()
    assert answer["outputs"] == [
        {
            "name": "activations",
            "datatype": "BYTES",
            "shape": [1, 2],
            "data": [f"0.012000:2:{CLASSES[2]}", f"0.011000:1:{CLASSES[1]}"],
        }
    ]


@pytest.mark.parametrize("classes", [4, 10, 2**63])
def test_classification_answers_at_most_all_labels(client: Client, classes: int) -> None:
    """A number above that of the classes answers all of them, as Triton does."""
    outputs = [{"name": "activations", "parameters": {"classification": classes}}]
    (output,) = client.post(INFER, json={"inputs": [images(10)], "outputs": outputs}).json()["outputs"]
    assert output["shape"] == [1, 3]
    assert output["data"] == [f"0.01{k}000:{k}:{CLASSES[k]}" for k in (2, 1, 0)]


@pytest.mark.parametrize("classes", [0, None])
def test_classification_of_nothing_answers_values(client: Client, classes: int | None) -> None:
    """Zero and null ask for no labels."""
    outputs = [{"name": "activations", "parameters": {"classification": classes}}]
    (output,) = client.post(INFER, json={"inputs": [images(10)], "outputs": outputs}).json()["outputs"]
    assert output["datatype"] == "FP32"


@pytest.mark.parametrize(
    ("classes", "got"), [(-1, "-1"), (True, "True"), (1.0, "float"), ("2", "str"), ([2], "list"), (2**70, "float")]
)
def test_classification_must_be_a_number(client: Client, classes: Any, got: str) -> None:
    """The error says what was found."""
    outputs = [{"name": "activations", "parameters": {"classification": classes}}]
    text = json.dumps({"inputs": [images(10)], "outputs": outputs})  # orjson writes no number of 70 bits
    answer = client.post(INFER, content=text)
    assert answer.status_code == 400
    where = "outputs[0].parameters.classification"
    assert answer.json()["error"] == f"{where} must be an integer of at least 0, got {got}"


NULLS: dict[str, Any] = {
    "of the request": {"id": None, "parameters": None, "outputs": None, "inputs": [images(10)]},
    "of an input": {"inputs": [{**images(10), "parameters": None}]},
    "of an output": {
        "inputs": [images(10)],
        "outputs": [{"name": "activations", "parameters": None}, {"name": "poses"}],
    },
    "parameters of the request": {
        "inputs": [images(10)],
        "parameters": dict.fromkeys(
            ("timeout", "priority", "sequence_id", "sequence_start", "sequence_end", "binary_data_output", "headers")
        ),
    },
    "parameters of an input": {
        "inputs": [{**images(10), "parameters": {"binary_data_size": None, "content_type": None}}]
    },
    "parameters of an output": {
        "inputs": [images(10)],
        "outputs": [
            {"name": name, "parameters": {"binary_data": None, "classification": None}} for name in CLASS_OUTPUTS
        ],
    },
    "unknown fields": {"inputs": [{**images(10), "more": None}], "more": None},
}


@pytest.mark.parametrize("request_", NULLS.values(), ids=NULLS)
def test_an_optional_field_that_is_null_is_absent(client: Client, request_: Any) -> None:
    """KServe's SDK sends null for what it leaves out."""
    answer = client.post(INFER, json=request_)
    assert answer.status_code == 200, answer.text
    assert answer.json() == client.post(INFER, json={"inputs": [images(10)]}).json()


def test_null_keeps_the_default_of_an_outputs_form(client: Client) -> None:
    """The output comes as bytes if the request says so, and data that is null may stand beside bytes."""
    tensor = {**images(1), "data": None, "parameters": {"binary_data_size": 64}}
    outputs = [{"name": "activations", "parameters": {"binary_data": None}}]
    text = orjson.dumps({"inputs": [tensor], "outputs": outputs, "parameters": {"binary_data_output": True}})
    answer = client.post(INFER, content=text + bytes(64), headers={LENGTH: str(len(text))})
    assert answer.status_code == 200, answer.text
    assert int(answer.headers[LENGTH]) == len(answer.content) - 12


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        ({"inputs": None}, "inputs must be a list"),
        ({"inputs": [None]}, "inputs[0] must be an object"),
        ({"inputs": [{**images(1), "name": None}]}, "inputs[0].name must be a string"),
        ({"inputs": [{**images(1), "datatype": None}]}, "inputs[0].datatype must be a string"),
        ({"inputs": [{**images(1), "shape": None}]}, "inputs[0].shape must be a list"),
        ({"inputs": [{**images(1), "shape": [None, 1, 8, 8]}]}, "inputs[0].shape must be an integer"),
        ({"inputs": [{**images(1), "data": None}]}, "inputs[0] must have data"),
        ({"inputs": [images(1)], "outputs": [None]}, "outputs[0] must be an object"),
        ({"inputs": [images(1)], "outputs": [{"name": None}]}, "outputs[0].name must be a string"),
        (None, "the request must be an object"),
    ],
)
def test_a_required_field_that_is_null_is_named(client: Client, request_: Any, where: str) -> None:
    """The error says where it is."""
    answer = client.post(INFER, content=orjson.dumps(request_))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(where)


@pytest.mark.parametrize("body", [b'{"ready": null}', b"null", b'{"repository_name": null}', b"{}"])
def test_a_null_in_the_body_of_the_index_is_absent(client: Client, body: bytes) -> None:
    """All versions are listed."""
    assert len(client.post("/v2/repository/index", content=body).json()) == 3


@pytest.mark.parametrize("what", ["load", "unload"])
@pytest.mark.parametrize("body", [b"null", b'{"parameters": null}', b'{"parameters": {"unload_dependents": null}}'])
def test_a_null_in_the_body_of_loading_is_absent(client: Client, what: str, body: bytes) -> None:
    """Triton's clients send parameters."""
    assert client.post(f"/v2/repository/models/stereo/{what}", content=body).status_code == 200


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed_both_ways(client: Client, encoding: str, encode: Any) -> None:
    """Native routes take compressed bodies too, and refuse those that are too large."""
    body, headers = in_bytes(10)
    more = {**headers, "content-encoding": encoding, "accept-encoding": encoding}
    answer = client.post(INFER, content=encode(body), headers=more)
    assert answer.headers["content-encoding"] == encoding
    assert answer.json()["outputs"][0]["data"] == pytest.approx([0.010, 0.011, 0.012])
    headers = {"content-encoding": encoding, "content-type": "image/png"}
    assert client.post("/predict", content=encode(grey(1)), headers=headers).status_code == 200
    bomb = client.post("/predict", content=encode(bytes(40 * 2**20)), headers=headers)
    assert bomb.status_code == 413


@pytest.mark.parametrize(
    ("path", "request_", "status"),
    [
        ("/v2/models/cat/infer", {"inputs": [images(1)]}, 404),
        ("/v2/models/norb/versions/9/infer", {"inputs": [images(1)]}, 404),
        ("/v2/models/norb/versions/last/infer", {"inputs": [images(1)]}, 400),
        ("/v2/models/norb/versions/0/infer", {"inputs": [images(1)]}, 400),
        (INFER, {"inputs": []}, 400),
        (INFER, {"inputs": [{**images(1), "name": "pixels"}]}, 400),
        (INFER, {"inputs": [images(1), {**images(1), "name": "files"}]}, 400),
        (INFER, {"inputs": [{**images(1), "shape": [1, 1, 4, 16], "data": [1] * 64}]}, 400),
        (INFER, {"inputs": [{**images(), "shape": [0, 1, 8, 8]}]}, 400),
        (INFER, {"inputs": [{**images(1), "datatype": "BYTES", "shape": [1], "data": ["YQ=="]}]}, 400),
        (INFER, {"inputs": [{"name": "files", "datatype": "UINT8", "shape": [1], "data": [1]}]}, 400),
        (INFER, {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [1], "data": ["YQ=="]}]}, 422),
        (INFER, {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [0], "data": []}]}, 400),
        (INFER, {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [65], "data": [""] * 65}]}, 413),
        (INFER, {"inputs": [images(*range(65))]}, 413),
        (INFER, {"inputs": [images(1)], "outputs": [{"name": "none"}]}, 404),
        (INFER, {"inputs": [images(1)], "outputs": [{"name": "poses"}] * 2}, 400),
        (INFER, {"inputs": [images(1)], "outputs": [{"name": "poses", "parameters": {"classification": 1}}]}, 400),
        (INFER, {"inputs": [images(1)], "parameters": {"timeout": "soon"}}, 400),
        (INFER, {"inputs": [images(1)], "parameters": {"timeout": [[[1]]]}}, 400),
        ("/v2/nowhere", {}, 404),
        ("/v2", {}, 405),
    ],
)
def test_errors_have_the_form_of_the_protocol(client: Client, path: str, request_: Any, status: int) -> None:
    """An object with the one field error."""
    answer = client.post(path, json=request_)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("length", ["", "-1", "1e3", "9" * 30, "²"])
def test_the_length_of_the_json_must_be_a_number(client: Client, length: str) -> None:
    """Its header is refused otherwise."""
    body, headers = in_bytes(10)
    answer = client.post(INFER, content=body, headers={**headers, LENGTH: length.encode("latin-1")})
    assert answer.status_code == 400


def test_a_failing_network_is_503(client: Client, session: FakeSession) -> None:
    """The error has the form of the protocol."""
    session.failure = RuntimeError("no")
    answer = client.post(INFER, json={"inputs": [images(1)]})
    assert (answer.status_code, list(answer.json())) == (503, ["error"])


def test_models_are_listed_loaded_and_unloaded(client: Client) -> None:
    """The index says what serves, and why the rest does not."""
    rows = client.post("/v2/repository/index").json()
    assert [(row["name"], row["version"], row["state"]) for row in rows] == [
        ("norb", "1", "READY"),
        ("norb", "2", "READY"),
        ("stereo", "1", "READY"),
    ]
    assert client.post("/v2/repository/models/stereo/unload").status_code == 200
    assert client.get("/v2/models/stereo/ready").status_code == 404
    *_, row = client.post("/v2/repository/index").json()
    assert row == {"name": "stereo", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert [row["name"] for row in ready] == ["norb", "norb"]
    assert client.post("/v2/repository/models/stereo/load").status_code == 200
    assert client.get("/v2/models/stereo/ready").status_code == 200
    assert client.post("/v2/repository/models/cat/load").status_code == 404
    assert client.post("/v2/repository/models/cat/unload").status_code == 404


def test_loading_is_forbidden_unless_it_is_set(tmp_path: Path) -> None:
    """The error names the setting."""
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        for what in ("load", "unload"):
            answer = client.post(f"/v2/repository/models/norb/{what}")
            assert answer.status_code == 403
            assert "MATCAPS_MODEL_CONTROL" in answer.json()["error"]
        assert client.get("/v2/models/norb/ready").status_code == 200


def test_statistics_count_requests_samples_and_batches(client: Client) -> None:
    """Each version has its own."""
    client.post(INFER, json={"inputs": [images(*range(10))]})
    (of_norb,) = client.get("/v2/models/norb/stats").json()["model_stats"]
    assert (of_norb["version"], of_norb["inference_count"], of_norb["execution_count"]) == ("2", 10, 2)
    assert of_norb["inference_stats"]["success"]["count"] == 1
    assert [batch["batch_size"] for batch in of_norb["batch_stats"]] == [2, 8]
    everything = client.get("/v2/models/stats").json()["model_stats"]
    assert [row["inference_count"] for row in everything] == [0, 10, 0]


def test_statistics_count_failures_apart(client: Client, session: FakeSession) -> None:
    """A request that was admitted and failed is not a success."""
    session.failure = RuntimeError("no")
    client.post(INFER, json={"inputs": [images(1)]})
    (of_norb,) = client.get("/v2/models/norb/stats").json()["model_stats"]
    assert (of_norb["inference_stats"]["fail"]["count"], of_norb["inference_stats"]["success"]["count"]) == (1, 0)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}'])
def test_a_wrong_body_of_the_index_is_refused(client: Client, body: bytes) -> None:
    """It must be an object, and ready a boolean."""
    answer = client.post("/v2/repository/index", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
