"""Pixels as the Open Inference Protocol v2 has them in binary: no decoding, many images a request."""

import json
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.serving.contenders import contenders
from benchmarks.serving.figures import Rate
from benchmarks.serving.generator import load
from benchmarks.serving.pictures import WARM_S
from benchmarks.serving.process import DIRECT, Running
from benchmarks.serving.trivial import SIDE, write_model

PATH = "/v2/models/smallnorb/infer"
CONNECTIONS = 4


class NotServedError(Exception):
    """The service has no such route; the message holds its answer."""


@dataclass(frozen=True)
class Tensors:
    """Images a second in requests of several."""

    images: int
    """In a request."""
    connections: int
    per_s: Rate
    """Images."""
    p99_ms: float
    failed: int


def request_of(images: int, channels: int = 1) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request whose tensors, there and back, are binary; only activations are asked for."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, channels, SIDE, SIDE), np.uint8)
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": list(pixels.shape),
        "parameters": {"binary_data_size": pixels.nbytes},
    }
    wanted = {"name": "activations", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return head + pixels.tobytes(), headers


def check_served(running: Running, body: bytes, headers: dict[str, str]) -> None:
    """Ask once.

    Raises:
        NotServedError: The answer is not 200.
    """
    request = urllib.request.Request(running.url(PATH), body, headers)
    try:
        DIRECT.open(request, timeout=30).read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise NotServedError("not served by this version") from None
        raise NotServedError(f"answered {error.code}: {error.read()[:200].decode(errors='replace')}") from None


def measure_tensors(images: int, rounds: int, seconds: float, progress: "tqdm[Any]") -> Tensors:
    """Images a second; ``progress`` moves on by ``rounds``.

    Raises:
        NotServedError: The service refuses the request.
    """
    ours = contenders()[0]
    content, headers = request_of(images)
    found = []
    with tempfile.TemporaryDirectory() as name:
        models = Path(name)
        write_model(models)
        body = models / "body"
        body.write_bytes(content)
        for _ in range(rounds):
            progress.set_postfix_str("v2 binary")
            with ours.with_settings("--max-batch", str(images)).start(models) as running:
                check_served(running, content, headers)
                load(running.url(PATH), body, headers, CONNECTIONS, WARM_S)
                found.append(load(running.url(PATH), body, headers, CONNECTIONS, seconds))
            progress.update()
    return Tensors(
        images,
        CONNECTIONS,
        Rate.of([images * run.per_s for run in found]),
        sorted(run.p99_ms for run in found)[len(found) // 2],
        sum(run.refused + run.broken for run in found),
    )
