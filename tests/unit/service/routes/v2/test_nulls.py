"""Fields of requests that are null."""

from typing import Any

import orjson
import pytest

from matcaps.service.backends.artefact import CLASS_OUTPUTS
from tests.support.doubles import Client
from tests.support.protocol import INFER, LENGTH, images

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
