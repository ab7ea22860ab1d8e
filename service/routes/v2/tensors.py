"""The protocol's bodies: JSON, followed by the bytes of tensors where the client wants them.

Sources: KServe, Open Inference Protocol V2, "Inference"; Triton, "Binary tensor data extension" and "Classification
extension".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from matcaps.service.errors import MalformedError, TooLargeError
from matcaps.service.http.base64_files import read_base64

LENGTH_BYTES = 4  # of the length before each element of BYTES, little-endian
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Input:
    """An input tensor: an array of pixels (UINT8), or a list of encoded files (BYTES)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    pixels: NDArray[np.uint8] | None = None
    files: list[bytes] | None = None


@dataclass(frozen=True)
class Output:
    """An output that is wanted, as bytes or as JSON. ``classes`` > 0: that many top labels instead of values."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class InferRequest:
    """The body of a request for inference."""

    id: str
    inputs: list[Input]
    outputs: list[Output]
    binary: bool
    """whether outputs come as bytes if the request names none"""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def parse(body: bytes, header_bytes: int | None, most_files: int = 1024) -> InferRequest:
    """Read a body: JSON alone, or ``header_bytes`` of JSON followed by the bytes of tensors.

    Raises:
        MalformedError: Something is missing, has the wrong type, or does not fit the rest.
        TooLargeError: An input has more than ``most_files`` files.
    """
    size = len(body) if header_bytes is None else header_bytes
    if not 0 < size <= len(body):
        raise MalformedError(
            f"Inference-Header-Content-Length must be 1 to the {len(body)} bytes of the body, got {size}"
        )
    view = memoryview(body)
    try:
        request = orjson.loads(view[:size])
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"the request is not JSON: {error}") from None
    request = _object(request, "the request")
    parameters = _object(request.get("parameters", {}), "parameters")
    binary = parameters.get("binary_data_output", False) is True
    inputs, place = [], size
    for number, value in enumerate(_list(request.get("inputs"), "inputs")):
        tensor, place = _input(_object(value, f"inputs[{number}]"), f"inputs[{number}]", view, place, most_files)
        inputs.append(tensor)
    if place != len(body):
        raise MalformedError(f"the body has {len(body) - place} bytes after the last input")
    names = [tensor.name for tensor in inputs]
    if len(set(names)) < len(names):
        raise MalformedError(f"inputs must have different names, got {', '.join(names)[:200]}")
    outputs = [
        _output(_object(value, f"outputs[{number}]"), f"outputs[{number}]", binary)
        for number, value in enumerate(_list(request.get("outputs", []), "outputs"))
    ]
    return InferRequest(_text(request.get("id", ""), "id"), inputs, outputs, binary, parameters)


def encode(
    head: Mapping[str, Any], arrays: Sequence[tuple[str, NDArray[np.float32] | list[list[str]], bool]]
) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON if bytes follow it.

    Args:
        head: The fields beside the outputs.
        arrays: Name, values (floats, or rows of labels) and whether they come as bytes, of each output.
    """
    outputs, blobs = [], []
    for name, values, binary in arrays:
        if isinstance(values, np.ndarray):
            datatype, shape = "FP32", list(values.shape)
            plain: Any = np.ascontiguousarray(values).ravel()
            blob = np.ascontiguousarray(values, "<f4").tobytes() if binary else b""
        else:
            datatype, shape = "BYTES", [len(values), len(values[0]) if values else 0]
            plain = [label for row in values for label in row]
            blob = b"".join(_element(label) for label in plain)
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary:
            output["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            output["data"] = plain
        outputs.append(output)
    text = orjson.dumps({**head, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([text, *blobs]), len(text) if blobs else None


def labels(activations: NDArray[np.float32], names: Sequence[str], classes: int) -> list[list[str]]:
    """The classes of the highest activations of each sample as ``value:index:label``, highest first; at most all."""
    order = np.argsort(-activations, axis=1, kind="stable")[:, :classes]
    return [
        [f"{row[index]:f}:{index}:{names[index]}" for index in best]
        for row, best in zip(activations, order, strict=True)
    ]


def _input(value: dict[str, Any], where: str, body: memoryview, place: int, most_files: int) -> tuple[Input, int]:
    name = _text(value.get("name"), f"{where}.name")
    datatype = _text(value.get("datatype"), f"{where}.datatype")
    shape = _shape(value.get("shape"), f"{where}.shape")
    if datatype not in ("UINT8", "BYTES"):
        raise MalformedError(f"{where}.datatype must be UINT8 or BYTES, got {datatype[:40]!r}")
    parameters = _object(value.get("parameters", {}), f"{where}.parameters")
    elements = math.prod(shape)
    if "binary_data_size" in parameters:
        size = _number(parameters["binary_data_size"], f"{where}.parameters.binary_data_size")
        if size > len(body) - place:
            raise MalformedError(f"{where} needs {size} bytes, the body has {len(body) - place} left")
        blob = body[place : place + size]
        if datatype == "BYTES":
            return Input(name, datatype, shape, files=_elements(blob, elements, where, most_files)), place + size
        if size != elements:
            raise MalformedError(f"{where} must have {elements} bytes for its shape {list(shape)}, got {size}")
        return Input(name, datatype, shape, _shaped(np.frombuffer(blob, np.uint8), shape, where)), place + size
    if "data" not in value:
        raise MalformedError(f"{where} must have data or parameters.binary_data_size")
    data = _list(value["data"], f"{where}.data")
    if datatype == "BYTES":
        return Input(name, datatype, shape, files=_texts(data, elements, where, most_files)), place
    return Input(name, datatype, shape, _pixels(data, shape, where)), place


def _pixels(data: list[Any], shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    """Pixels from nested or flat lists of integers."""
    found: list[int] = []
    while data and isinstance(data[0], list):
        # Checked here, because numpy would allocate the longest text of a mixed list for each of its elements.
        if set(map(type, data)) != {list} or len(set(map(len, data))) != 1 or len(found) == MOST_DIMENSIONS:
            raise MalformedError(f"{where}.data must be a regular list of numbers")
        found.append(len(data) if not found else len(data) // math.prod(found))
        data = list(chain.from_iterable(data))
    found.append(len(data) // max(1, math.prod(found)))
    if len(data) != math.prod(shape) or (len(found) > 1 and tuple(found) != shape):
        raise MalformedError(f"{where}.data must have the shape {list(shape)}, got {found}")
    if set(map(type, data)) - {int} or min(data, default=0) < 0 or max(data, default=0) > 255:
        raise MalformedError(f"{where}.data must be integers from 0 to 255")
    return _shaped(np.array(data, np.uint8), shape, where)


def _shaped(pixels: NDArray[np.uint8], shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    try:
        return pixels.reshape(shape)
    except ValueError:  # without elements, the other axes may be longer than numpy allows
        raise MalformedError(f"{where}.shape {list(shape)} is too large for an array") from None


def _texts(data: list[Any], elements: int, where: str, most: int) -> list[bytes]:
    """Files from base64."""
    flat: list[Any] = []
    for value in data:
        flat += value if isinstance(value, list) else [value]
    if len(flat) != elements:
        raise MalformedError(f"{where}.data must have {elements} elements for its shape, got {len(flat)}")
    _check_number(elements, most, where)
    return [read_base64(_text(value, f"{where}.data"), f"{where}.data[{number}]") for number, value in enumerate(flat)]


def _elements(blob: memoryview, elements: int, where: str, most: int) -> list[bytes]:
    if elements * LENGTH_BYTES > len(blob):
        raise MalformedError(f"{where} has {len(blob)} bytes, too few for the {elements} elements of its shape")
    _check_number(elements, most, where)
    files, place = list[bytes](), 0
    while place < len(blob) and len(files) < elements:
        size = int.from_bytes(blob[place : place + LENGTH_BYTES], "little")
        place += LENGTH_BYTES + size
        if place > len(blob):
            raise MalformedError(f"{where}: element {len(files)} is longer than the bytes that are left")
        files.append(bytes(blob[place - size : place]))
    if len(files) != elements or place != len(blob):
        raise MalformedError(f"{where} must have {elements} elements in {len(blob)} bytes, got {len(files)} in {place}")
    return files


def _check_number(files: int, most: int, where: str) -> None:
    if files > most:
        raise TooLargeError(f"{where}: at most {most} files, got {files}")


def _element(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(LENGTH_BYTES, "little") + content


def _output(value: dict[str, Any], where: str, binary: bool) -> Output:
    parameters = _object(value.get("parameters", {}), f"{where}.parameters")
    classes = _number(parameters.get("classification", 0), f"{where}.parameters.classification")
    return Output(_text(value.get("name"), f"{where}.name"), parameters.get("binary_data", binary) is True, classes)


def _shape(value: Any, where: str) -> tuple[int, ...]:
    shape = tuple(_number(size, where) for size in _list(value, where))
    if not 0 < len(shape) <= MOST_DIMENSIONS:
        raise MalformedError(f"{where} must have 1 to {MOST_DIMENSIONS} dimensions, got {len(shape)}")
    return shape


def _object(value: Any, where: str) -> dict[str, Any]:
    """An object without its fields that are null: clients send null for what they leave out."""
    if not isinstance(value, dict):
        raise MalformedError(f"{where} must be an object, got {_kind(value)}")
    return {name: inner for name, inner in value.items() if inner is not None}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedError(f"{where} must be a list, got {_kind(value)}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{where} must be a string, got {_kind(value)}")
    return value


def _number(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        got = str(value)[:40] if isinstance(value, int) else _kind(value)  # a list may be too deep for repr
        raise MalformedError(f"{where} must be an integer of at least 0, got {got}")
    return value


def _kind(value: Any) -> str:
    return "null or nothing" if value is None else type(value).__name__
