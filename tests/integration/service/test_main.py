"""``matcaps serve`` as a process: options, one-line errors, and a server on a socket."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from matcaps.service.server import listen
from matcaps.service.settings import Settings
from tests.support.doubles import grey, write_model

ROOT = Path(__file__).parents[3]
LONGEST_S = 60.0


def command(*options: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "matcaps", "serve", *options]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without the settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options),
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_help_lists_every_setting() -> None:
    """--help lists an option for each setting."""
    result = run("--help")
    assert result.returncode == 0
    for name in Settings.model_fields:
        assert "--" + name.replace("_", "-") in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "many"],
        ["--port", "70000"],
        ["--device", "tpu"],
        ["--max-images", "0"],
        ["--kept-poses-s", "nan"],
        ["--colour", "red"],
        ["--port"],
        ["stray"],
    ],
)
def test_a_bad_option_is_a_one_line_error(options: list[str]) -> None:
    """A bad option ends the service with status 2 and one line."""
    result = run(*options)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("matcaps serve: ")


def test_boolean_options_take_no_value() -> None:
    """A boolean setting is an option without a value, or the same with no- before it."""
    result = run("--allow-anonymous", "--model-control", "--no-tf32", "--models", "/nowhere")
    assert "no folder of models" in last_line(result)


def test_a_bad_environment_variable_is_a_one_line_error() -> None:
    """A bad environment variable ends the service like a bad option."""
    result = run(MATCAPS_PORT="many")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "port" in result.stderr


def test_the_variables_of_a_kubernetes_service_do_not_stop_the_start(tmp_path: Path) -> None:
    """A Service called matcaps sets MATCAPS_PORT in every pod; the log says that it is ignored, and what to do."""
    linked = {"MATCAPS_PORT": "tcp://10.96.14.7:80", "MATCAPS_SERVICE_HOST": "10.96.14.7", "MATCAPS_SERVICE_PORT": "80"}
    result = run("--models", str(tmp_path), MATCAPS_LOG_LEVEL="INFO", **linked)
    assert result.returncode == 1
    assert "MATCAPS_DEFAULT_MODEL" in last_line(result)
    (warning,) = [line for line in result.stderr.splitlines() if '"level":"warning"' in line]
    assert "MATCAPS_PORT is ignored" in warning
    assert "enableServiceLinks: false" in warning


def test_an_empty_file_of_keys_stops_the_start() -> None:
    """An empty variable does not switch the keys off."""
    result = run(MATCAPS_API_KEYS="", MATCAPS_PORT="")
    assert result.returncode == 2
    expected = "matcaps serve: api_keys: expected a value; leave it out to accept every request, got ''"
    assert result.stderr.strip() == expected


def test_a_missing_model_stops_the_start(tmp_path: Path) -> None:
    """Without a model the service ends with status 1 and names the setting."""
    result = run("--models", str(tmp_path))
    assert result.returncode == 1
    assert "MATCAPS_DEFAULT_MODEL" in last_line(result)


def test_a_missing_gpu_stops_the_start_of_cuda(tmp_path: Path) -> None:
    """Without a GPU the device cuda ends with status 1 and one reason."""
    write_model(tmp_path, "norb", 1)
    result = run("--models", str(tmp_path), "--default-model", "norb", MATCAPS_DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 1
    assert "cuda" in last_line(result).lower()


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    """A port in use ends the service with status 1 and a line that names it."""
    write_model(tmp_path, "norb", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("--models", str(tmp_path), "--default-model", "norb", "--port", port)
    assert result.returncode == 1
    assert f"cannot listen at 127.0.0.1:{port}" in last_line(result)


def test_the_listener_has_nagles_algorithm_off() -> None:
    """The listener's protocol is known as TCP, because asyncio disables Nagle's algorithm only then."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and the address that it logs when it listens."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", 2, b"broken")
    options = ["--port", "0", "--models", str(tmp_path), "--max-body-bytes", "1000000", "--threads", "1"]
    process = subprocess.Popen(
        command(*options),
        cwd=ROOT,
        env=clean_environment(MATCAPS_DEFAULT_MODEL="norb", MATCAPS_DEVICE="cpu"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = ""
        while not address:
            line = process.stderr.readline()
            assert line, "the server ended before it listened"
            if "listening at " in line:
                address = line.partition("listening at ")[2].partition(",")[0]
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(LONGEST_S)
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_answers_and_ends_on_a_signal(
    server: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    """The server answers beside a broken version, and ends with status 0 on SIGTERM or SIGINT."""
    process, address = server
    with httpx.Client(base_url=address, timeout=LONGEST_S, trust_env=False) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        answer = client.post("/predict", content=grey(100), headers={"content-type": "image/png"})
        assert answer.status_code == 200
        assert answer.json()["model"] == {"name": "norb", "version": 1}
        assert answer.json()["predictions"][0]["activations"]["animal"] == pytest.approx(0.1)
        assert client.get(f"/poses/{answer.json()['id']}").status_code == 200
        assert client.get("/models").json()["models"][0]["provider"] == "CPUExecutionProvider"
    process.send_signal(number)
    assert process.wait(LONGEST_S) == 0


def test_a_signal_while_models_load_ends_with_status_0(tmp_path: Path) -> None:
    """SIGTERM before the service is ready ends it with status 0."""
    pipe = write_model(tmp_path, "norb", 1)
    pipe.unlink()
    os.mkfifo(pipe)
    options = ("--models", str(tmp_path), "--default-model", "norb", "--port", "0")
    with subprocess.Popen(command(*options), cwd=ROOT, env=clean_environment()) as process:
        writer = -1
        while writer < 0:  # opening succeeds as soon as the service reads from the pipe
            assert process.poll() is None
            with contextlib.suppress(OSError):
                writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        process.send_signal(signal.SIGTERM)
        os.close(writer)
        assert process.wait(LONGEST_S) == 0


def test_sighup_loads_new_versions(server: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    """After SIGHUP a new version is served, and a broken one is listed with its reason."""
    process, address = server
    write_model(tmp_path, "norb", 3)
    with httpx.Client(base_url=address, timeout=LONGEST_S, trust_env=False) as client:
        assert client.get("/models/norb").json()["version"] == 1
        process.send_signal(signal.SIGHUP)
        until = time.monotonic() + LONGEST_S
        while client.get("/models/norb").json()["version"] != 3:
            assert time.monotonic() < until, "the new version was not loaded"
        (refused,) = client.get("/models").json()["refused"]
        assert (refused["name"], refused["version"]) == ("norb", 2)
        assert refused["reason"].startswith("not an ONNX file")
        assert str(tmp_path) not in refused["reason"]


def test_a_rejected_upload_gets_its_answer(server: tuple[subprocess.Popen[str], str]) -> None:
    """A client that sends a large body gets its error answer, not a reset connection."""
    _, address = server
    with httpx.Client(base_url=address, timeout=LONGEST_S, trust_env=False) as client:
        for path, kind, status in [
            ("/predict", "image/png", 413),
            ("/nowhere", "image/png", 404),
            ("/models", "image/png", 405),
            ("/predict?model=cat", "image/png", 404),
            ("/predict", "text/plain", 415),
        ]:
            for more in ({}, {"connection": "close"}):
                headers = {"content-type": kind, **more}
                response = client.post(path, content=bytes(60_000_000), headers=headers)
                assert response.status_code == status
                assert response.headers["content-type"] == "application/problem+json"
