"""Compares the answers of two servers in the parts that must be the same."""

import io
import json
from typing import Any

import numpy as np

from benchmarks.harness.client import Answer

CLOSE = 2e-5  # of an element: batches of another size round differently
OWN = ("id",)  # differs between any two answers


def differences(one: Answer, other: Answer) -> str:
    """The first difference between two answers that must be the same; empty if there is none.

    >>> kind = {"content-type": "application/json"}
    >>> differences(Answer(200, b'{"a": 1.0}', kind), Answer(200, b'{"a": 1.000001}', kind))
    ''
    >>> differences(Answer(200, b'{"a": 1.0}', kind), Answer(404, b'{}', kind))
    'status 200 and 404'
    """
    if one.status != other.status:
        return f"status {one.status} and {other.status}"
    for name in ("content-type", "inference-header-content-length", "www-authenticate", "allow"):
        if one.headers.get(name) != other.headers.get(name):
            return f"{name} {one.headers.get(name)!r} and {other.headers.get(name)!r}"
    if not _same(_content(one), _content(other)):
        return f"{one.body[:200]!r} and {other.body[:200]!r}"
    return ""


def _content(answer: Answer) -> Any:
    kind = answer.headers.get("content-type", "")
    if kind == "application/x-npz":
        with np.load(io.BytesIO(answer.body)) as arrays:
            return {name: arrays[name] for name in arrays}
    if length := answer.headers.get("inference-header-content-length"):
        head, tensors = answer.body[: int(length)], answer.body[int(length) :]
        return [json.loads(head), np.frombuffer(tensors, np.float32)]
    if kind.endswith("json"):
        return answer.json
    return answer.body


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(name in OWN or _same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.allclose(one, other, rtol=CLOSE, atol=CLOSE)
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=CLOSE, atol=CLOSE))
    return type(one) is type(other) and bool(one == other)
