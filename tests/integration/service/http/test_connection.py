"""Whoever never finishes a request's head is sent away, and nobody else notices."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from matcaps.service.http.connection import MOST_BYTES
from tests.support.doubles import FakeSession, grey
from tests.support.listening import LIMIT_S, Listening, listening

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HEAD + b"content-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Listening]:
    """A service that waits a third of a second for whatever a caller sends."""
    with listening(tmp_path, {"norb/1": FakeSession()}, body_timeout_s=0.3) as service:
        yield service


def said_to(service: Listening, start: bytes, then: bytes = b"", most: int = 0) -> tuple[bytes, int]:
    """The answer to a caller who sends a start, then the same again and again; and how many bytes were taken."""
    port = httpx.URL(service.address).port
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as caller:
        sent = 0
        try:
            caller.sendall(start)
            while sent < most:
                sent += caller.send(then)
        except ConnectionError:
            pass  # refused while it was still sending
        answer = b""
        try:
            while piece := caller.recv(4096):
                answer += piece
        except ConnectionError:
            pass
        return answer, sent


def still_serves(service: Listening) -> bool:
    """Whether two whole requests over one connection are answered."""
    with httpx.Client(base_url=service.address, trust_env=False) as client:
        kind = {"content-type": "image/png"}
        return all(client.post("/predict", content=grey(level), headers=kind).is_success for level in (1, 2))


def test_whole_requests_are_answered(service: Listening) -> None:
    """What is sent as it should be is answered, also twice over one connection."""
    assert still_serves(service)


@pytest.mark.parametrize("start", [HEAD + b"x-a: ", b"GET /"], ids=["a header", "a path"])
def test_a_head_of_one_byte_too_many_is_answered(service: Listening, start: bytes) -> None:
    """By 431 in so many words; nothing is on its way any more that could reset the connection."""
    answer, _ = said_to(service, start + b"b" * (MOST_BYTES + 1 - len(start)))
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
def test_a_head_without_end_is_refused(service: Listening, start: bytes, then: bytes) -> None:
    """After little more than may be; what was still on its way may have reset the connection before its answer."""
    _, sent = said_to(service, start, then, most=100 * MOST_BYTES)
    assert sent < 100 * MOST_BYTES
    assert still_serves(service)


@pytest.mark.parametrize(
    ("start", "then"),
    [(CHUNKED + b"5\r\nabcde\r\n0\r\n", b"x-a: " + b"b" * 1000 + b"\r\n"), (CHUNKED + b"5;", b"b" * 1000)],
    ids=["trailers", "an endless chunk extension"],
)
def test_what_is_no_body_has_an_end(service: Listening, start: bytes, then: bytes) -> None:
    """Between the pieces of a body no more may stand than before it: the connection ends."""
    _, sent = said_to(service, start, then, most=100 * MOST_BYTES)
    assert sent < 100 * MOST_BYTES
    assert still_serves(service)


@pytest.mark.parametrize(
    "start", [b"", b"POST /pre", HEAD + b"content-le"], ids=["nothing", "half a line", "half a head"]
)
def test_a_head_that_does_not_come_is_refused(service: Listening, start: bytes) -> None:
    """By 408 when its time is up, and the connection ends."""
    began = time.monotonic()
    answer, _ = said_to(service, start)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"the headers did not arrive within 0.3 s"' in answer
    assert time.monotonic() - began > 0.25  # the service's clock and this one need not agree to the millisecond


def test_the_second_head_of_a_connection_has_its_time_too(service: Listening) -> None:
    """An answered request does not buy the next one eternity."""
    answer, _ = said_to(service, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nGET /health")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_a_large_body_is_no_head(tmp_path: Path) -> None:
    """Bodies have their own limits, in one piece or in many."""
    image = grey(1) + b"\0" * (4 * MOST_BYTES)  # decoders stop at the image's end
    with (
        listening(tmp_path, {"norb/1": FakeSession()}) as service,
        httpx.Client(base_url=service.address, timeout=LIMIT_S, trust_env=False) as client,
    ):
        for body in (image, iter([image[at : at + 1000] for at in range(0, len(image), 1000)])):
            response = client.post("/predict", content=body, headers={"content-type": "image/png"})
            assert response.status_code == 200, response.text
