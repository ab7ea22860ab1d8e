"""More requests than a network can run: what each client gets, and what never runs."""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.doubles import GatedSession, grey
from tests.support.listening import LIMIT_S, listening

PNG = {"content-type": "image/png"}


def probe(client: httpx.Client) -> httpx.Response:
    """A request with a short timeout: 429 if the queue is full, 504 if it waited there itself."""
    return client.post("/predict", content=grey(0), headers={**PNG, "x-request-timeout-ms": "50"})


def probe_until(client: httpx.Client, answer: int) -> httpx.Response:
    """Probe until the service answers with a status: other requests take their time to reach the queue."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        response = probe(client)
        if response.status_code == answer:
            return response
    pytest.fail(f"no {answer} within {LIMIT_S} s")


def post_until_accepted(client: httpx.Client, level: int) -> httpx.Response:
    """The response to a request that is repeated while a probe has the only place in the queue."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        response = client.post("/predict", content=grey(level), headers=PNG)
        if response.status_code != 429:
            return response
    pytest.fail(f"refused for {LIMIT_S} s")


def connect_until_waiting(client: httpx.Client, address: str, content: bytes) -> socket.socket:
    """The connection of a client whose request has the only place in the queue."""
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        caller = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        caller.sendall(head % len(content) + content)
        while not select.select([caller], [], [], 0.05)[0]:  # time for the request to arrive, or to be refused
            if probe(client).status_code == 429:
                return caller
        caller.close()  # it was refused, because a probe had the place
    pytest.fail(f"refused for {LIMIT_S} s")


def test_a_full_queue_answers_429_with_retry_after(tmp_path: Path) -> None:
    """The requests that were admitted are answered."""
    session = GatedSession()
    with (
        listening(tmp_path, {"gated/1": session}, max_batch=1, max_queue=1) as (address, *_),
        httpx.Client(base_url=address, timeout=LIMIT_S, trust_env=False) as client,
        ThreadPoolExecutor(2) as callers,
    ):
        accepted = [callers.submit(client.post, "/predict", content=grey(50), headers=PNG)]
        session.wait_until_entered()
        accepted.append(callers.submit(post_until_accepted, client, 60))
        refused = probe_until(client, 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["status"] == 429
        session.gate.release(9)
        assert [caller.result().status_code for caller in accepted] == [200, 200]


def test_a_request_whose_deadline_passes_is_504_and_never_runs(tmp_path: Path) -> None:
    """X-Request-Timeout-Ms shortens the wait; it must be a positive number."""
    session = GatedSession()
    with (
        listening(tmp_path, {"gated/1": session}, max_batch=1) as (address, *_),
        httpx.Client(base_url=address, timeout=LIMIT_S, trust_env=False) as client,
        ThreadPoolExecutor(1) as callers,
    ):
        running = callers.submit(client.post, "/predict", content=grey(50), headers=PNG)
        session.wait_until_entered()
        assert probe_until(client, 504).json()["status"] == 504
        for wrong in ("0", "-5", "soon", "nan"):
            answer = client.post("/predict", content=grey(1), headers={**PNG, "x-request-timeout-ms": wrong})
            assert answer.status_code == 400
            assert wrong in answer.json()["detail"]
        session.gate.release()
        assert running.result().status_code == 200
    assert [int(batch.flat[0]) for batch in session.batches] == [50]


def test_a_request_whose_client_disconnects_never_runs(tmp_path: Path) -> None:
    """The connection is closed while the request waits."""
    session = GatedSession()
    with (
        listening(tmp_path, {"gated/1": session}, max_batch=1, max_queue=1) as (address, *_),
        httpx.Client(base_url=address, timeout=LIMIT_S, trust_env=False) as client,
        ThreadPoolExecutor(1) as callers,
    ):
        running = callers.submit(client.post, "/predict", content=grey(50), headers=PNG)
        session.wait_until_entered()
        connect_until_waiting(client, address, grey(99)).close()
        probe_until(client, 504)  # the place in the queue is free for a probe
        session.gate.release(9)
        assert running.result().status_code == 200
        assert client.post("/predict", content=grey(70), headers=PNG).status_code == 200
    assert [int(batch.flat[0]) for batch in session.batches] == [50, 70]


def test_a_full_queue_refuses_before_it_decodes(tmp_path: Path) -> None:
    """A broken image is 422 if there is room, and 429 if there is none."""
    session = GatedSession()
    with (
        listening(tmp_path, {"gated/1": session}, max_batch=1, max_queue=1) as (address, *_),
        httpx.Client(base_url=address, timeout=LIMIT_S, trust_env=False) as client,
        ThreadPoolExecutor() as callers,
    ):
        running = callers.submit(client.post, "/predict", content=grey(50), headers=PNG)
        session.wait_until_entered()
        assert client.post("/predict", content=b"none", headers=PNG).status_code == 422
        waiting = callers.submit(post_until_accepted, client, 60)
        probe_until(client, 429)
        assert client.post("/predict", content=b"none", headers=PNG).status_code == 429
        session.gate.release(9)
        assert [running.result().status_code, waiting.result().status_code] == [200, 200]
