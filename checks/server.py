"""The real server, started, asked about pictures, and stopped."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START_S, ANSWER_S, STOP_S = 120.0, 30.0, 30.0

Answers = dict[tuple[str, str], dict[str, float]]


class ServerError(Exception):
    """The server did not start, answered an error, or did not stop."""


def ask_server(pictures: Sequence[Path], settings: Mapping[str, str]) -> tuple[Answers, set[str]]:
    """Class activations of each model for each picture, and the execution providers that were in use.

    Args:
        pictures: Files of any kind that is served.
        settings: ``MATCAPS_…`` variables; none of the caller's reach the server.

    Raises:
        ServerError: It did not start, answered an error, or did not end with status 0.
    """
    answers: Answers = {}
    with _running(settings) as address:
        models = _call(f"{address}/models")["models"]
        for model in models:
            for picture in pictures:
                content = base64.b64encode(picture.read_bytes()).decode()
                body = {"images": [content] * model["image"]["channels"]}
                answer = _call(f"{address}/predict?model={model['name']}", body)
                answers[model["name"], picture.name] = answer["predictions"][0]["activations"]
    return answers, {model["provider"] for model in models}


@contextmanager
def _running(settings: Mapping[str, str]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
    environment |= {"MATCAPS_HOST": "127.0.0.1", "MATCAPS_PORT": str(port), **settings}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", "matcaps", "serve"], cwd=ROOT, env=environment, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, address)
            yield address
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_S) != 0:
                raise ServerError(f"the server ended with status {process.returncode}")
        except (ServerError, subprocess.TimeoutExpired) as error:
            log.seek(0)
            last = log.read().strip().splitlines()[-1:]
            raise ServerError(": ".join([str(error), *last])) from error
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_S:
        if process.poll() is not None:
            raise ServerError(f"the server ended with status {process.returncode} before it was ready")
        try:
            _call(f"{address}/health/ready")
        except ServerError:
            time.sleep(0.1)
        else:
            return
    raise ServerError(f"the server was not ready within {START_S:.0f} s")


def _call(address: str, body: Any = None) -> Any:
    """What a server answers: to a GET, or with a body to a POST. No proxy, whatever the environment says."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise ServerError(f"{address}: {error.code} {error.read().decode(errors='replace')[:200]}") from error
    except (OSError, ValueError) as error:
        raise ServerError(f"{address}: {error}") from error
