"""A request whose head is too large or too slow is rejected, and other clients are not affected."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from matcaps.service.http.connection import MAX_HEAD_BYTES
from tests.support.doubles import FakeSession, grey
from tests.support.listening import LIMIT_S, Listening, listening

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HEAD + b"content-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Listening]:
    """A service that waits 0.3 seconds for the headers."""
    with listening(tmp_path, {"norb/1": FakeSession()}, body_timeout_s=0.3) as service:
        yield service


def answer_to(service: Listening, start: bytes, then: bytes = b"", most: int = 0) -> tuple[bytes, int]:
    """The answer to a client that sends ``start``, then ``then`` up to ``most`` bytes; and the bytes sent."""
    port = httpx.URL(service.address).port
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as caller:
        sent = 0
        try:
            caller.sendall(start)
            while sent < most:
                sent += caller.send(then)
        except ConnectionError:
            pass  # rejected while it was still sending
        answer = b""
        try:
            while piece := caller.recv(4096):
                answer += piece
        except ConnectionError:
            pass
        return answer, sent


def still_serves(service: Listening) -> bool:
    """Whether two complete requests over one connection are answered."""
    with httpx.Client(base_url=service.address, trust_env=False) as client:
        kind = {"content-type": "image/png"}
        return all(client.post("/predict", content=grey(level), headers=kind).is_success for level in (1, 2))


def test_complete_requests_are_answered(service: Listening) -> None:
    """Two complete requests over one connection are answered."""
    assert still_serves(service)


@pytest.mark.parametrize("start", [HEAD + b"x-a: ", b"GET /"], ids=["a header", "a path"])
def test_a_head_of_one_byte_too_many_gets_431(service: Listening, start: bytes) -> None:
    """A head of one byte too many gets the status 431."""
    answer, _ = answer_to(service, start + b"b" * (MAX_HEAD_BYTES + 1 - len(start)))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert still_serves(service)


@pytest.mark.parametrize(
    ("start", "then"),
    [
        (HEAD, b"x-a: " + b"b" * 1000 + b"\r\n"),
        (HEAD + b"x-a: ", b"b" * 1000),
        (b"GET /", b"b" * 1000),
    ],
    ids=["many headers", "an endless header", "an endless path"],
)
def test_an_endless_head_is_rejected(service: Listening, start: bytes, then: bytes) -> None:
    """The connection of an endless head is closed. A reset may lose the answer, so only the bytes taken are checked."""
    _, sent = answer_to(service, start, then, most=100 * MAX_HEAD_BYTES)
    assert sent < 100 * MAX_HEAD_BYTES
    assert still_serves(service)


@pytest.mark.parametrize(
    ("start", "then"),
    [(CHUNKED + b"5\r\nabcde\r\n0\r\n", b"x-a: " + b"b" * 1000 + b"\r\n"), (CHUNKED + b"5;", b"b" * 1000)],
    ids=["trailers", "an endless chunk extension"],
)
def test_data_between_chunks_is_limited(service: Listening, start: bytes, then: bytes) -> None:
    """Trailers and chunk extensions have the same limit as a head."""
    _, sent = answer_to(service, start, then, most=100 * MAX_HEAD_BYTES)
    assert sent < 100 * MAX_HEAD_BYTES
    assert still_serves(service)


@pytest.mark.parametrize(
    "start", [b"", b"POST /pre", HEAD + b"content-le"], ids=["nothing", "half a line", "half a head"]
)
def test_an_incomplete_head_gets_408(service: Listening, start: bytes) -> None:
    """A head that is incomplete when its time is up gets the status 408, and the connection is closed."""
    began = time.monotonic()
    answer, _ = answer_to(service, start)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"the headers did not arrive within 0.3 s"' in answer
    assert time.monotonic() - began > 0.25  # the two clocks may differ by milliseconds


def test_the_second_head_of_a_connection_has_the_same_limit(service: Listening) -> None:
    """After an answered request, an incomplete second one on the same connection gets 408."""
    answer, _ = answer_to(service, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nGET /health")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_a_large_body_is_not_limited_as_a_head(tmp_path: Path) -> None:
    """A body larger than the limit of a head is answered, in one piece or in chunks."""
    image = grey(1) + b"\0" * (4 * MAX_HEAD_BYTES)  # decoders stop at the image's end
    with (
        listening(tmp_path, {"norb/1": FakeSession()}) as service,
        httpx.Client(base_url=service.address, timeout=LIMIT_S, trust_env=False) as client,
    ):
        for body in (image, iter([image[at : at + 1000] for at in range(0, len(image), 1000)])):
            response = client.post("/predict", content=body, headers={"content-type": "image/png"})
            assert response.status_code == 200, response.text


def test_empty_lines_do_not_keep_a_connection(tmp_path: Path) -> None:
    """An idle connection is closed after its time, also if empty lines arrive, which HTTP allows before a request."""
    with listening(tmp_path, {"norb/1": FakeSession()}, keep_alive_s=1) as service:
        began = time.monotonic()
        port = httpx.URL(service.address).port
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as caller:
            caller.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
            caller.sendall(b"\r\n\r\n")
            while caller.recv(4096):
                pass
        assert 0.9 < time.monotonic() - began < LIMIT_S / 2
