"""Starts the real server, asks it about images, and stops it."""

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.client import Request, ask
from benchmarks.harness.process import Process, StartError, free_port

Activations = dict[tuple[str, str], dict[str, float]]
"""By model and name of the image file."""


class ServerError(Exception):
    """The server did not start, answered an error, or did not stop."""


def ask_server(pictures: Sequence[Path], settings: Mapping[str, str]) -> tuple[Activations, set[str]]:
    """Class activations of each model for each image, and the execution providers in use.

    Args:
        pictures: Image files of any format that the service reads.
        settings: ``MATCAPS_`` variables; those of the caller's environment are not passed on.

    Raises:
        ServerError: The server did not start, answered an error, or did not end with status 0.
    """
    answers: Activations = {}
    port = free_port()
    settings = {"MATCAPS_HOST": "127.0.0.1", "MATCAPS_PORT": str(port), **settings}
    with Process([sys.executable, "-m", "matcaps", "serve"], port, settings) as process:
        try:
            process.wait_until_ready()
            models = _json(port, Request("/models"))["models"]
            for model in models:
                for picture in pictures:
                    content = base64.b64encode(picture.read_bytes()).decode()
                    pictures_per_sample = 2 if model["image"]["channels"] == 2 else 1
                    body = json.dumps({"images": [content] * pictures_per_sample}).encode()
                    headers = {"content-type": "application/json"}
                    answer = _json(port, Request(f"/predict?model={model['name']}", body, headers))
                    answers[model["name"], picture.name] = answer["predictions"][0]["activations"]
            if status := process.stop():
                raise ServerError(f"the server ended with status {status} after SIGTERM: {process.output()[-800:]}")
        except (StartError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise ServerError(" ".join(str(error).split())) from error
    return answers, {model["provider"] for model in models}


def _json(port: int, request: Request) -> Any:
    answer = ask(port, request)
    if answer.status != 200:
        reason = answer.body[:200].decode(errors="replace")
        raise ServerError(f"{request.path}: expected status 200, got {answer.status}: {reason}")
    return answer.json
