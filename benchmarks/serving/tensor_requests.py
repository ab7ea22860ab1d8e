"""Requests of many images as binary tensors of the Open Inference Protocol v2: nothing is decoded."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.harness.client import Request, ask
from benchmarks.harness.process import Process
from benchmarks.harness.servers import matcaps
from benchmarks.harness.trivial import SIDE, write_model
from benchmarks.serving.figures import Rate
from benchmarks.serving.png_requests import WARM_S
from benchmarks.serving.wrk import load

PATH = "/v2/models/smallnorb/infer"
CONNECTIONS = 4


class NotServedError(Exception):
    """The service refused the request; the message holds its answer."""


@dataclass(frozen=True)
class Tensors:
    """Images per second in requests of several."""

    images: int
    """In a request."""
    connections: int
    per_s: Rate
    """Images."""
    p99_ms: float
    failed: int


def tensor_request(images: int, channels: int = 1) -> Request:
    """A request whose pixels and activations are binary; no other output is asked for."""
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
    return Request(PATH, head + pixels.tobytes(), headers)


def check_served(process: Process, request: Request) -> None:
    """Send a request once.

    Raises:
        NotServedError: The status is not 200.
    """
    answer = ask(process.port, request)
    if answer.status != 200:
        raise NotServedError(f"expected status 200, got {answer.status}: {answer.body[:200].decode(errors='replace')}")


def measure_tensor_requests(images: int, rounds: int, seconds: float, progress: "tqdm[Any]") -> Tensors:
    """Measure images per second; ``progress`` moves on by ``rounds``.

    Raises:
        NotServedError: The service refused the request.
        StartError: The service does not start.
    """
    request = tensor_request(images)
    found = []
    with tempfile.TemporaryDirectory() as models:
        write_model(Path(models))
        for _ in range(rounds):
            progress.set_postfix_str("v2 binary")
            with matcaps("--max-batch", str(images)).running(Path(models)) as process:
                check_served(process, request)
                load(process, request, CONNECTIONS, WARM_S)
                found.append(load(process, request, CONNECTIONS, seconds))
            progress.update()
    return Tensors(
        images,
        CONNECTIONS,
        Rate.of([images * run.per_s for run in found]),
        sorted(run.p99_ms for run in found)[len(found) // 2],
        sum(run.refused + run.broken for run in found),
    )
