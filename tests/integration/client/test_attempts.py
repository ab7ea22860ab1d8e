"""What both clients do when the service is full, away, slow, or not one of matcaps."""

import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from matcaps.client import MatcapsError
from matcaps.service.engine.model_version import ModelRef
from tests.support.clients import KINDS, Kind, call
from tests.support.doubles import GatedSession, grey
from tests.support.listening import listening
from tests.support.scripted import answer, hang_up, scripted

each_kind = pytest.mark.parametrize("kind", KINDS)
MODELS = answer(200, b'{"models": [], "refused": []}')
FULL = b'{"status": 429, "detail": "at most 512 images may wait"}'


@each_kind
def test_a_full_service_is_asked_again(kind: Kind) -> None:
    """After 429 and 503 the call waits as long as Retry-After says, and returns the answer that comes at last."""
    with scripted([answer(429, FULL, retry_after="0"), answer(503, retry_after="0"), MODELS]) as server:
        assert call(kind, server.address, "models") == ()
    assert len(server.asked) == 3


@each_kind
def test_a_service_that_stays_full_is_given_up(kind: Kind) -> None:
    """After the last attempt the error has the status and the reason of the service."""
    with scripted([answer(429, FULL, retry_after="0")]) as server, pytest.raises(MatcapsError) as caught:
        call(kind, server.address, "models", options={"attempts": 3})
    assert caught.value.status == 429
    assert caught.value.detail == "at most 512 images may wait (gave up after 3 attempts)"
    assert len(server.asked) == 3


@each_kind
def test_the_service_itself_is_given_up_while_its_queue_is_full(kind: Kind, tmp_path: Path) -> None:
    """The error has the service's reason, how long it asks to wait, and that the deadline comes first."""
    session = GatedSession()
    with listening(tmp_path, {"norb/1": session}, max_queue=1, max_batch=1) as running, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(call, kind, running.address, "predict", grey(1))]
        session.wait_until_entered()
        answers.append(pool.submit(call, kind, running.address, "predict", grey(2)))
        while not running.engine.find(ModelRef()).waiting:
            pass
        with pytest.raises(MatcapsError, match=r"gave up after 1 attempt: the next is due in \d+ s") as caught:
            call(kind, running.address, "predict", grey(3), timeout_s=0.9)
        session.gate.release(2)
        assert [answer.result().labels for answer in answers] == [("airplane",)] * 2
    assert caught.value.status == 429
    assert caught.value.detail.startswith("1 images wait already; try again later (gave up")


@each_kind
def test_a_wait_beyond_the_deadline_is_not_begun(kind: Kind) -> None:
    """If Retry-After exceeds the time that is left, the call ends at once and says so."""
    began = time.monotonic()
    with scripted([answer(429, FULL, retry_after="7")]) as server, pytest.raises(MatcapsError) as caught:
        call(kind, server.address, "models", timeout_s=5.0)
    assert time.monotonic() - began < 4
    assert caught.value.status == 429
    assert "gave up after 1 attempt: the next is due in 7 s, " in str(caught.value)
    assert len(server.asked) == 1


@each_kind
@pytest.mark.parametrize("status", [400, 404, 500, 502, 504])
def test_other_errors_are_not_tried_again(kind: Kind, status: int) -> None:
    """An error that will come again is raised at once, with the beginning of an answer that is no problem."""
    with scripted([answer(status, b"<h1>Oh</h1>")]) as server, pytest.raises(MatcapsError, match="<h1>Oh") as caught:
        call(kind, server.address, "models")
    assert caught.value.status == status
    assert len(server.asked) == 1


@each_kind
def test_a_broken_connection_is_tried_again(kind: Kind) -> None:
    """A connection that ends without an answer counts as an attempt."""
    with scripted([hang_up, MODELS]) as server:
        assert call(kind, server.address, "models") == ()
    with (
        scripted([hang_up]) as server,
        pytest.raises(MatcapsError, match=r"broke: .*\(gave up after 2 attempts\)") as caught,
    ):
        call(kind, server.address, "models", options={"attempts": 2})
    assert caught.value.status is None


@each_kind
def test_the_deadline_is_sent_along(kind: Kind) -> None:
    """Each attempt tells the service how many milliseconds are left of the call."""
    with scripted([answer(429, retry_after="0"), MODELS]) as server:
        call(kind, server.address, "models", timeout_s=9.0)
    first, second = (int(headers["x-request-timeout-ms"]) for headers in server.asked)
    assert 8000 < second <= first <= 9000


@each_kind
def test_a_silent_service_is_left_at_the_deadline(kind: Kind) -> None:
    """Without an answer the call ends when its time is over; the error has no status."""
    began = time.monotonic()
    with scripted([None]) as server, pytest.raises(MatcapsError, match=r"^no answer of .* within 0.3 s$") as caught:
        call(kind, server.address, "models", timeout_s=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert caught.value.status is None


@each_kind
def test_a_service_that_trickles_is_left_at_the_deadline(kind: Kind) -> None:
    """An answer whose bytes come one by one does not keep the call longer than its time."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000000")
        handler.end_headers()
        while not server.over.wait(0.02):
            handler.wfile.write(b" ")

    with scripted([trickle]) as server, pytest.raises(MatcapsError, match=r"within 0.3 s"):
        call(kind, server.address, "models", timeout_s=0.3)


@each_kind
def test_a_service_that_is_away_is_named(kind: Kind) -> None:
    """A refused connection is one line with the URL, and nothing is tried again; the service is not ready."""
    with scripted([MODELS]) as server:
        pass
    with pytest.raises(MatcapsError, match=f"^cannot reach {server.address}: Connection refused$") as caught:
        call(kind, server.address, "models")
    assert caught.value.status is None
    assert call(kind, server.address, "ready") is False


@each_kind
@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_readiness_is_asked_once(kind: Kind, status: int, ready: bool) -> None:
    """A service that drains is not ready."""
    with scripted([answer(status, b"{}")]) as server:
        assert call(kind, server.address, "ready") is ready
    assert len(server.asked) == 1


@each_kind
@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"models": [{"name": 1}]}', b"[" * 100_000])
def test_an_answer_of_something_else_is_named(kind: Kind, body: bytes) -> None:
    """A 200 that is not an answer of matcaps is an error that says to check the URL."""
    with scripted([answer(200, body)]) as server, pytest.raises(MatcapsError, match=r"check the URL$"):
        call(kind, server.address, "models")


@each_kind
@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost:8000", {}, "url must be like http://127.0.0.1:8000"),
        ("ftp://a", {}, "url must be like"),
        ("http://", {}, "url must be like"),
        ("http://a", {"api_key": "a\nb"}, "api_key must be printable ASCII"),
        ("http://a", {"api_key": ""}, "api_key must be printable ASCII"),
        ("http://a", {"timeout_s": 0.0}, "timeout_s must be above 0, got 0.0"),
        ("http://a", {"timeout_s": float("nan")}, "timeout_s must be above 0, got nan"),
        ("http://a", {"attempts": 0}, "attempts must be at least 1, got 0"),
    ],
)
def test_options_that_cannot_be_used_are_named(kind: Kind, url: str, options: dict[str, Any], message: str) -> None:
    """A client is refused when it is made, not when it is used."""
    with pytest.raises(ValueError, match=f"^{message}"):
        call(kind, url, "ready", options=options)
