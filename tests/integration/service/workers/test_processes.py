"""``matcaps serve --http-workers 2`` as processes: kills, signals, and what all workers share."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from matcaps.service.app import create_app
from matcaps.service.engine.loader import opener_of
from matcaps.service.keys import digest
from matcaps.service.settings import Settings
from tests.support.doubles import SIDE, client_of, grey, write_model

ROOT = Path(__file__).parents[4]
LONGEST_S = 60.0
PNG = {"content-type": "image/png"}


class Service:
    """A running service, its processes and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", client: httpx.Client) -> None:
        self.process, self._client = process, client

    @property
    def workers(self) -> list[int]:
        """The process ids of the HTTP workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """An answer over a connection of its own, so by any of the workers."""
        return self._client.request(method, path, content=content, headers={**headers, "connection": "close"})

    def predict(self, level: int, **headers: str) -> httpx.Response:
        return self.ask("POST", "/predict", grey(level), **PNG, **headers)

    def wait_until_ready(self) -> None:
        until(lambda: self.ask("GET", "/health/ready").status_code == 200)


def until(done: Callable[[], bool]) -> None:
    """Return when something is so; broken connections count as no."""
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if done():
                return
    raise AssertionError("it did not become so in time")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def serving(models: Path, *options: str) -> Iterator[Service]:
    command = [sys.executable, "-m", "matcaps", "serve", "--http-workers", "2", "--port", "0", "--models", str(models)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
    command += ["--default-model", "norb", "--device", "cpu", "--threads", "1", *options]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**environment, "PYTHONUNBUFFERED": "1"}, stderr=log)

        def address() -> str:
            assert process.poll() is None, "the service ended before it listened"
            written = os.pread(log.fileno(), 1 << 16, 0).decode()
            return written.partition("listening at ")[2].partition(",")[0]

        try:
            until(lambda: bool(address()))
            with httpx.Client(base_url=address(), timeout=LONGEST_S, trust_env=False) as client:
                yield Service(process, client)
        finally:
            process.kill()
            process.wait(LONGEST_S)
            print(os.pread(log.fileno(), 1 << 16, 0).decode()[-4000:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    write_model(models, "norb", 1)
    return models


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with serving(folder) as service:
        service.wait_until_ready()
        yield service


def test_any_worker_finds_the_poses_of_an_id(service: Service) -> None:
    """New connections reach both workers in the end, and each finds every id."""
    ids = [service.predict(level).json()["id"] for level in range(8)]
    found = [service.ask("GET", f"/poses/{id_}") for id_ in ids for _ in range(2)]
    assert {answer.status_code for answer in found} == {200}


def test_answers_are_those_of_one_process_to_the_bit(service: Service, folder: Path) -> None:
    """Only ids and times differ between one process and several: JSON, npz and binary tensors are the same bytes."""
    settings = Settings(models=folder, default_model="norb", device="cpu", threads=1)
    tensor: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [2, 1, SIDE, SIDE]}
    tensor["parameters"] = {"binary_data_size": 2 * SIDE * SIDE}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    pixels = bytes(level % 251 for level in range(2 * SIDE * SIDE))
    asked = [
        ("/predict", grey(99), PNG),
        ("/predict", grey(98), PNG | {"accept": "application/x-npz"}),
        ("/poses?layer=conv_caps_2", grey(97), PNG),
        ("/v2/models/norb/infer", head + pixels, {"inference-header-content-length": str(len(head))}),
    ]

    def shown(answer: httpx.Response) -> tuple[int, str, bytes]:
        id_ = re.search(rb'"id":"(\w+)"', answer.content)
        content = answer.content if id_ is None else answer.content.replace(id_[1], b"")
        return answer.status_code, answer.headers["content-type"], content

    with client_of(create_app(settings, opener_of(settings))) as client:
        for path, content, headers in asked:
            expected = shown(client.post(path, content=content, headers=headers))
            assert expected[0] == 200
            assert {shown(service.ask("POST", path, content, **headers)) for _ in range(4)} == {expected}


def test_the_metrics_of_all_workers_are_one(service: Service) -> None:
    """The number of predictions is right at once, whichever worker is asked."""

    def predictions() -> float:
        lines = service.ask("GET", "/metrics").text.splitlines()
        counts = [line.split()[-1] for line in lines if 'route="/predict",status="200"' in line and "_total" in line]
        return sum(map(float, counts))

    before = predictions()
    for level in range(8):
        service.predict(level)
    assert predictions() == before + 8


def test_a_killed_worker_is_replaced_and_no_answer_is_wrong(service: Service) -> None:
    """A worker is killed under load: each answer is right, the other worker goes on, and a new one takes its place."""
    wrong: list[str] = []
    answered = [0, 0, 0]
    done = threading.Event()

    def call(seed: int) -> None:
        level = 10 * seed
        while not done.is_set():
            level = (level + 1) % 256
            with contextlib.suppress(httpx.TransportError):
                answer = service.predict(level)
                found = answer.json()["predictions"][0]["activations"]["animal"] if answer.is_success else None
                if found != pytest.approx(level / 1000, abs=1e-6):
                    wrong.append(f"{level}: {answer.status_code} {answer.text[:200]}")
                answered[seed] += 1

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(3)]
    for caller in callers:
        caller.start()
    before = service.workers
    try:
        until(lambda: min(answered) > 3)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: service.ask("GET", "/health/live").status_code == 503)
        until(lambda: service.ask("GET", "/health/live").status_code == 200)
        count = sum(answered)
        until(lambda: sum(answered) > count + 10)
    finally:
        done.set()
        for caller in callers:
            caller.join(LONGEST_S)
    after = service.workers
    assert wrong == []
    assert len(after) == 2
    assert before[1] in after
    assert before[0] not in after
    assert "matcaps_http_workers_replaced_total 1.0" in service.ask("GET", "/metrics").text


def test_sigterm_ends_all_processes_with_status_0(folder: Path) -> None:
    """Also if a terminal sends the signal to all of them."""
    with serving(folder) as service:
        service.wait_until_ready()
        workers = service.workers
        for pid in (*workers, service.process.pid):
            os.kill(pid, signal.SIGINT)
        assert service.process.wait(LONGEST_S) == 0
        assert not [pid for pid in workers if is_running(pid)]


def test_sighup_brings_models_and_keys_to_all_workers(tmp_path: Path) -> None:
    """Workers have no file of keys of their own: what the engine reads counts for each. Killed, it leaves no worker."""
    models, keys = tmp_path / "models", tmp_path / "keys"
    write_model(models, "norb", 1)
    keys.write_text(f"ann sha256:{digest('ann')}")
    with serving(models, "--api-keys", str(keys)) as service:
        service.wait_until_ready()
        assert service.predict(1, **{"x-api-key": "ann"}).status_code == 200
        assert service.predict(1, **{"x-api-key": "bob"}).status_code == 401
        write_model(models, "norb", 2)
        keys.write_text(f"bob sha256:{digest('bob')}")
        service.process.send_signal(signal.SIGHUP)
        asked = [{"x-api-key": "bob"}] * 6

        def versions() -> list[int]:
            answers = [service.predict(1, **headers) for headers in asked]
            return [answer.json()["model"]["version"] if answer.is_success else 0 for answer in answers]

        until(lambda: versions() == [2] * 6)
        assert service.predict(1, **{"x-api-key": "ann"}).status_code == 401
        workers = service.workers
        service.process.kill()
        until(lambda: not any(is_running(pid) for pid in workers))
