"""The bodies of the protocol."""

import base64
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from matcaps.service.errors import MalformedError, TooLargeError
from matcaps.service.routes.v2.tensors import Input, encode, labels, parse

PIXELS: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [1, 2]}


def with_bytes(request: Any, *blobs: bytes) -> tuple[bytes, int]:
    """A body of JSON and bytes, and the length of the JSON."""
    text = orjson.dumps(request)
    return b"".join([text, *blobs]), len(text)


def only_input(body: bytes, length: int | None = None) -> Input:
    (tensor,) = parse(body, length).inputs
    return tensor


@given(arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=4)))
def test_pixels_come_nested_flat_or_as_bytes(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """All three give the same array."""
    tensor: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": list(pixels.shape)}
    for data in (pixels.tolist(), pixels.ravel().tolist()):
        found = only_input(orjson.dumps({"inputs": [{**tensor, "data": data}]}))
        assert np.array_equal(found.pixels, pixels)  # type: ignore[arg-type]
    tensor["parameters"] = {"binary_data_size": pixels.size}
    found = only_input(*with_bytes({"inputs": [tensor]}, pixels.tobytes()))
    assert np.array_equal(found.pixels, pixels)  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_files_come_as_base64_or_as_bytes(files: list[bytes]) -> None:
    """Both give the same files."""
    tensor: dict[str, Any] = {"name": "files", "datatype": "BYTES", "shape": [len(files)]}
    data = [base64.b64encode(file).decode() for file in files]
    assert only_input(orjson.dumps({"inputs": [{**tensor, "data": data}]})).files == files
    blob = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    tensor["parameters"] = {"binary_data_size": len(blob)}
    assert only_input(*with_bytes({"inputs": [tensor]}, blob)).files == files


def test_the_bytes_of_two_inputs_follow_each_other() -> None:
    """They come in the order of the inputs."""
    one = {**PIXELS, "parameters": {"binary_data_size": 2}}
    two = {**PIXELS, "name": "more", "parameters": {"binary_data_size": 2}}
    first, second = parse(*with_bytes({"inputs": [one, two]}, b"\1\2\3\4")).inputs
    assert (first.pixels.tolist(), second.pixels.tolist()) == ([[1, 2]], [[3, 4]])  # type: ignore[union-attr]


def test_a_request_says_how_outputs_come() -> None:
    """Each output, or the whole request, may ask for bytes; an output may ask for labels."""
    asked = parse(
        orjson.dumps(
            {
                "id": "a",
                "parameters": {"binary_data_output": True, "timeout": 5},
                "inputs": [],
                "outputs": [
                    {"name": "poses"},
                    {"name": "activations", "parameters": {"binary_data": False, "classification": 2}},
                ],
            }
        ),
        None,
    )
    assert (asked.id, asked.binary, asked.parameters["timeout"]) == ("a", True, 5)
    assert [(output.name, output.binary, output.classes) for output in asked.outputs] == [
        ("poses", True, 0),
        ("activations", False, 2),
    ]


def test_outputs_are_encoded_as_json_or_as_bytes() -> None:
    """Values in JSON are flat; bytes follow the JSON in the order of the outputs."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    text, length = encode({"model_name": "norb"}, [("a", values, False)])
    assert length is None
    assert orjson.loads(text) == {
        "model_name": "norb",
        "outputs": [{"name": "a", "datatype": "FP32", "shape": [2, 3], "data": [0, 1, 2, 3, 4, 5]}],
    }
    body, length = encode({}, [("a", values, True), ("b", [["x:0:y"]], True)])
    assert length is not None
    first, second = orjson.loads(body[:length])["outputs"]
    assert first["parameters"] == {"binary_data_size": 24}
    assert np.array_equal(np.frombuffer(body[length : length + 24], "<f4").reshape(2, 3), values)
    assert second["datatype"] == "BYTES"
    assert body[length + 24 :] == b"\5\0\0\0x:0:y"


def test_labels_have_value_index_and_name() -> None:
    """The highest activation comes first."""
    found = labels(np.array([[0.25, 0.5, 0.125]], np.float32), ["a", "b", "c"], 2)
    assert found == [["0.500000:1:b", "0.250000:0:a"]]


def broken(**changes: Any) -> bytes:
    return orjson.dumps({"inputs": [{**PIXELS, "data": [1, 2], **changes}]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"inputs": 3}',
        b"{}",
        b'{"inputs": [3]}',
        b'{"inputs": [], "outputs": {}}',
        b'{"inputs": [], "outputs": [{}]}',
        b'{"inputs": [], "id": 3}',
        b'{"inputs": [], "parameters": []}',
        b'{"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1], "data": [NaN]}]}',
        b'{"inputs": ' + b"[" * 100_000,
        broken(name=None),
        broken(datatype="FP32"),
        broken(datatype=3),
        broken(shape=[]),
        broken(shape=[1] * 9),
        broken(shape=[-1, -2]),
        broken(shape=[1.0, 2.0]),
        broken(shape=[True, 2]),
        broken(shape="12"),
        broken(shape=[2**62, 2**62]),
        broken(shape=[3, 1]),
        broken(data=None),
        broken(data=[1]),
        broken(data=[1, 256]),
        broken(data=[1, -1]),
        broken(data=[1, 1.5]),
        broken(data=[1, "2"]),
        broken(data=[1, [2]]),
        broken(data=[1, True]),
        broken(data=["a"] * 100_000 + ["b" * 100_000]),
        broken(shape="deep").replace(b'"deep"', b"[" * 1000 + b"]" * 1000),
        broken(data="deep").replace(b'"deep"', b"[" * 1000 + b"]" * 1000),
        broken(data=[[1], [2]]),
        broken(data=[1, 2**64 - 1]),
        broken(shape=[0, 2**63], data=[]),
        broken(shape=[0, 2**40, 2**40], parameters={"binary_data_size": 0}),
        broken(parameters={"binary_data_size": 2}),
        broken(parameters={"binary_data_size": -1}),
        broken(parameters={"binary_data_size": "2"}),
        broken(parameters={"binary_data_size": "huge"}).replace(b'"huge"', str(2**70).encode()),
        broken(parameters=[1]),
        broken(datatype="BYTES", data=["!", "?"]),
        broken(datatype="BYTES", data=["YQ=="]),
        broken(datatype="BYTES", data=[1, 2]),
        broken(datatype="BYTES", data=[["YQ=="], "YQ==", 3]),
        orjson.dumps({"inputs": [{**PIXELS, "data": [1, 2]}] * 2}),
        orjson.dumps({"inputs": [PIXELS]}),
        orjson.dumps({"inputs": [], "outputs": [{"name": "a", "parameters": {"classification": "2"}}]}),
    ],
)
def test_a_broken_request_is_malformed(body: bytes) -> None:
    """No other exception is raised."""
    with pytest.raises(MalformedError):
        parse(body, None)


@pytest.mark.parametrize(
    ("size", "blob"),
    [
        (2, b"\1"),
        (3, b"\1\2\3"),
        (2, b"\1\2\3"),
        (0, b""),
    ],
)
def test_bytes_must_fit_the_shape(size: int, blob: bytes) -> None:
    """Too few and too many are refused."""
    with pytest.raises(MalformedError):
        parse(*with_bytes({"inputs": [{**PIXELS, "parameters": {"binary_data_size": size}}]}, blob))


@pytest.mark.parametrize("blob", [b"\1\0\0", b"\5\0\0\0a", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\1\0\0\0a" * 3])
def test_elements_must_fit_their_bytes_and_the_shape(blob: bytes) -> None:
    """A length that is too large and a wrong number of elements are refused."""
    tensor = {"name": "files", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(blob)}}
    with pytest.raises(MalformedError):
        parse(*with_bytes({"inputs": [tensor]}, blob))


def test_the_number_of_files_is_limited() -> None:
    """They are counted before they are read; a wrong number in the shape is another error."""
    blob = b"\0\0\0\0" * 3
    tensor = {"name": "files", "datatype": "BYTES", "shape": [3], "parameters": {"binary_data_size": len(blob)}}
    with pytest.raises(TooLargeError, match="at most 2 files, got 3"):
        parse(broken(datatype="BYTES", shape=[3], data=["", "", ""]), None, most_files=2)
    with pytest.raises(TooLargeError, match="at most 2 files, got 3"):
        parse(*with_bytes({"inputs": [tensor]}, blob), most_files=2)
    with pytest.raises(MalformedError, match="too few for the 1000000000000 elements"):
        parse(*with_bytes({"inputs": [{**tensor, "shape": [10**12]}]}, blob), most_files=2)


@pytest.mark.parametrize("length", [0, 10_000])
def test_the_length_of_the_json_must_fit_the_body(length: int) -> None:
    """It is at least one byte, and at most the body."""
    with pytest.raises(MalformedError, match="Inference-Header-Content-Length"):
        parse(broken(), length)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_are_a_request_or_malformed(content: bytes, length: int) -> None:
    """No other exception is raised."""
    for size in (None, length):
        try:
            parse(content, size)
        except MalformedError:
            continue
