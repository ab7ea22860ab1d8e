"""What the check of a cluster compares."""

import io
import json

import numpy as np
import pytest

from checks.ray.asking import Answered, differences


def answered(content: object, status: int = 200, kind: str = "application/json") -> Answered:
    return Answered(status, {"content-type": kind}, json.dumps(content).encode())


def npz(value: float) -> Answered:
    file = io.BytesIO()
    np.savez(file, poses=np.full((1, 2), value, np.float32))
    return Answered(200, {"content-type": "application/x-npz"}, file.getvalue())


def binary(value: float) -> Answered:
    head = b'{"outputs": []}'
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return Answered(200, headers, head + np.float32(value).tobytes())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (answered({"id": "a", "poses": [[1.0]]}), answered({"id": "b", "poses": [[1.000001]]})),
        (npz(1.0), npz(1.000001)),
        (binary(1.0), binary(1.000001)),
    ],
)
def test_answers_that_say_the_same_differ_in_nothing(one: Answered, other: Answered) -> None:
    """Ids are made up, and rounding depends on who shared the batch."""
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
def test_answers_that_differ_are_told_apart(one: Answered, other: Answered, said: str) -> None:
    """And the difference is said."""
    assert said in differences(one, other)
