"""The comparison of two servers' answers."""

import io
import json

import numpy as np
import pytest

from benchmarks.harness.client import Answer
from checks.ray.comparison import differences


def answered(content: object, status: int = 200, kind: str = "application/json") -> Answer:
    return Answer(status, json.dumps(content).encode(), {"content-type": kind})


def npz(value: float) -> Answer:
    file = io.BytesIO()
    np.savez(file, poses=np.full((1, 2), value, np.float32))
    return Answer(200, file.getvalue(), {"content-type": "application/x-npz"})


def binary(value: float) -> Answer:
    head = b'{"outputs": []}'
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return Answer(200, head + np.float32(value).tobytes(), headers)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (answered({"id": "a", "poses": [[1.0]]}), answered({"id": "b", "poses": [[1.000001]]})),
        (npz(1.0), npz(1.000001)),
        (binary(1.0), binary(1.000001)),
    ],
)
def test_equal_answers_have_no_difference(one: Answer, other: Answer) -> None:
    """Ids may differ, and numbers may differ by rounding, which depends on the batch."""
    assert differences(one, other) == ""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (answered({}), answered({}, status=404), "status 200 and 404"),
        (answered({}), answered({}, kind="text/plain"), "content-type"),
        (answered({"a": 1.0}), answered({"a": 1.1}), "1.1"),
        (answered({"a": 1}), answered({"b": 1}), '"b"'),
        (answered([1.0]), answered([1.0, 2.0]), "2.0"),
        (answered("car"), answered("truck"), "truck"),
        (npz(1.0), npz(2.0), "PK"),
        (binary(1.0), binary(2.0), "outputs"),
    ],
)
def test_a_difference_is_described(one: Answer, other: Answer, said: str) -> None:
    """Status, headers, names, shapes, numbers and binary tensors are compared."""
    assert said in differences(one, other)
