"""Inference by the Open Inference Protocol, as a client sees it."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import orjson
import pytest

from tests.support.doubles import CLASSES, Client, FakeSession, grey, output_shapes
from tests.support.protocol import INFER, LENGTH, images, in_bytes


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
