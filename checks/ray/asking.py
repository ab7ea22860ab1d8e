"""Requests one at a time, and the parts of their answers that two servers must have in common."""

import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CLOSE = 2e-5  # of an element: batches of another size round otherwise
OWN = ("id",)  # made up for each answer


@dataclass(frozen=True)
class Asked:
    """A request."""

    name: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    status: int = 200  # of the right answer

    @property
    def verb(self) -> str:
        """What HTTP calls it."""
        return self.method or ("POST" if self.body else "GET")


@dataclass(frozen=True)
class Answered:
    """An answer; the names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)


def ask(port: int, asked: Asked) -> Answered:
    """Ask a server on this machine.

    Raises:
        OSError: There is no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(asked.verb, asked.path, asked.body or None, dict(asked.headers))
        response = connection.getresponse()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            # As a list has it, so that a header that comes twice is another one.
            headers[name.lower()] = ", ".join(filter(None, [headers.get(name.lower()), value]))
        return Answered(response.status, headers, response.read())
    finally:
        connection.close()


def differences(one: Answered, other: Answered) -> str:
    """In what two answers differ that should say the same; empty if in nothing.

    >>> kind = {"content-type": "application/json"}
    >>> differences(Answered(200, kind, b'{"a": 1.0}'), Answered(200, kind, b'{"a": 1.000001}'))
    ''
    >>> differences(Answered(200, kind, b'{"a": 1.0}'), Answered(404, kind, b'{}'))
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


def _content(answer: Answered) -> Any:
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
