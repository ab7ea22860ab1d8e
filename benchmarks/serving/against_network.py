"""Images per second through the service, as a part of what its network does alone."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.process import ROOT, cpu_s
from benchmarks.harness.servers import Server, matcaps, stand_in
from benchmarks.harness.stand_in import Sleeper
from benchmarks.harness.trivial import write_model
from benchmarks.serving.figures import Rate, ratio
from benchmarks.serving.network_alone import images_per_s
from benchmarks.serving.png_requests import WARM_S
from benchmarks.serving.tensor_requests import check_served, tensor_request
from benchmarks.serving.wrk import Load, load

CONNECTIONS = 32
BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Split:
    """CPU time divided by the time that passed: 1 is one core that is always busy."""

    wrk: float
    event_loop: float
    """The service's main thread: HTTP, and the decoding of small images."""
    other_threads: float
    """Of the service: the network's threads, and the decoding of large images."""


@dataclass(frozen=True)
class Against:
    """One comparison."""

    network: str
    images: int
    """In a request."""
    batch: int
    """The largest batch, of the service and of the network alone."""
    raw_per_s: Rate
    """Images per second of the network alone."""
    served_per_s: Rate
    """Images per second through the service."""
    part: float
    """The median of the rounds' ratios."""
    split: Split
    failed: int


def measure_sleeper(
    images: int, fixed_ms: float, image_ms: float, batch: int, rounds: int, seconds: float, progress: "tqdm[Any]"
) -> Against:
    """Measure over a device that sleeps; ``progress`` moves on by ``rounds``.

    Raises:
        NotServedError: The service refused a request of several images, which are sent as binary tensors.
        StartError: The service does not start.
    """
    server = stand_in(fixed_ms=fixed_ms, image_ms=image_ms, max_batch=batch)
    name = f"a device that sleeps {fixed_ms:g} ms + {image_ms:g} ms an image"
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        raw, runs = [], []
        for _ in range(rounds):
            progress.set_postfix_str(name)
            # Measured, not calculated: on a busy machine sleeping threads wake up late.
            raw.append(images_per_s(Sleeper(fixed_ms, image_ms), batch, seconds))
            runs.append(_serve(server, Path(folder), images, seconds))
            progress.update()
    return _compare(name, images, batch, raw, runs)


def measure_shipped(models: Path, rounds: int, seconds: float, progress: "tqdm[Any]") -> Against:
    """Measure over the smallNORB network on the CPU at its best batch; ``progress`` moves on by ``rounds + 1``."""
    file = max((models / "smallnorb").glob("*/model.onnx"), key=lambda path: int(path.parent.name))
    progress.set_postfix_str("smallNORB, raw")
    found = [_raw(file, BATCHES, seconds / 4) for _ in range(rounds)]
    # By the fastest of the rounds: other work on the machine can only slow a batch.
    batch = max(BATCHES, key=lambda size: max(rates[size] for rates in found))
    progress.update()
    server = matcaps("--max-batch", str(batch))
    raw, runs = [], []
    for _ in range(rounds):
        progress.set_postfix_str("smallNORB")
        before = _raw(file, [batch], seconds)[batch]
        runs.append(_serve(server, models, 1, seconds))
        raw.append((before + _raw(file, [batch], seconds)[batch]) / 2)
        progress.update()
    return _compare("smallNORB on the CPU", 1, batch, raw, runs)


def _raw(file: Path, batches: Sequence[int], seconds: float) -> dict[int, float]:
    command = [sys.executable, "-m", "benchmarks.serving.network_alone", str(file), str(seconds), *map(str, batches)]
    found = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ})
    return {int(batch): rate for batch, rate in json.loads(found.stdout).items()}


def _serve(server: Server, models: Path, images: int, seconds: float) -> tuple[Load, Split]:
    request = tensor_request(images) if images > 1 else server.request
    with server.running(models) as process:
        check_served(process, request)
        load(process, request, CONNECTIONS, WARM_S)
        main, others = cpu_s(process.pid)
        found = load(process, request, CONNECTIONS, seconds)
        main_after, others_after = cpu_s(process.pid)
    parts = (found.wrk_cpu_s, main_after - main, others_after - others)
    return found, Split(*(part / found.seconds for part in parts))


def _compare(name: str, images: int, batch: int, raw: list[float], runs: list[tuple[Load, Split]]) -> Against:
    served = [images * found.per_s for found, _ in runs]
    splits = [split for _, split in runs]
    return Against(
        name,
        images,
        batch,
        Rate.of(raw),
        Rate.of(served),
        ratio(served, raw),
        Split(
            statistics.median(split.wrk for split in splits),
            statistics.median(split.event_loop for split in splits),
            statistics.median(split.other_threads for split in splits),
        ),
        sum(found.refused + found.broken for found, _ in runs),
    )
