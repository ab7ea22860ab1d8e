"""The service against its own network: what part of ``session.run``'s images a second comes through HTTP."""

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

from benchmarks.serving.contenders import Contender, contenders
from benchmarks.serving.figures import Rate, ratio
from benchmarks.serving.generator import Load, load
from benchmarks.serving.pictures import WARM_S
from benchmarks.serving.process import ROOT, cpu_s
from benchmarks.serving.raw import images_per_s
from benchmarks.serving.stand_in import Sleeper
from benchmarks.serving.tensors import PATH, check_served, request_of
from benchmarks.serving.trivial import write_model

CONNECTIONS = 32
BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Split:
    """Time on cores, as parts of the time that went by: 1 is one core, busy all the time."""

    generator: float
    event_loop: float
    """The service's main thread: HTTP, and the decoding of small pictures."""
    other_threads: float
    """Of the service: the network's own, and the decoding of large pictures."""


@dataclass(frozen=True)
class Against:
    """One comparison."""

    network: str
    images: int
    """In a request."""
    batch: int
    """The largest, of the service and of the network alone."""
    raw_per_s: Rate
    """Images, of the network alone."""
    served_per_s: Rate
    """Images, through the service."""
    part: float
    """The median of the rounds' ratios."""
    split: Split
    failed: int


def measure_sleeper(
    images: int, fixed_ms: float, image_ms: float, batch: int, rounds: int, seconds: float, progress: "tqdm[Any]"
) -> Against:
    """Over a device that sleeps; ``progress`` moves on by ``rounds``.

    Raises:
        NotServedError: Requests of several images are refused: they go by the protocol's binary tensors.
    """
    options = [f"--fixed-ms={fixed_ms}", f"--image-ms={image_ms}", f"--max-batch={batch}"]
    server = Contender(
        "stand-in",
        Path(sys.executable),
        ["-m", "benchmarks.serving.stand_in", "{port}", "{models}", *options],
    )
    name = f"a device that sleeps {fixed_ms:g} ms + {image_ms:g} ms an image"
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        raw, runs = [], []
        for _ in range(rounds):
            progress.set_postfix_str(name)
            # Measured, not calculated: on a machine that is busy, sleepers wake up late.
            raw.append(images_per_s(Sleeper(fixed_ms, image_ms), batch, seconds))
            runs.append(_serve(server, Path(folder), images, seconds))
            progress.update()
    return _compare(name, images, batch, raw, runs)


def measure_shipped(models: Path, rounds: int, seconds: float, progress: "tqdm[Any]") -> Against:
    """Over the smallNORB network on the CPU at its best batch; ``progress`` moves on by ``rounds + 1``."""
    file = max((models / "smallnorb").glob("*/model.onnx"), key=lambda path: int(path.parent.name))
    progress.set_postfix_str("smallNORB, raw")
    found = [_raw(file, BATCHES, seconds / 4) for _ in range(rounds)]
    # By the fastest of the rounds: whoever else is on the machine only ever slows a batch.
    batch = max(BATCHES, key=lambda size: max(rates[size] for rates in found))
    progress.update()
    server = contenders()[0].with_settings("--max-batch", str(batch))
    raw, runs = [], []
    for _ in range(rounds):
        progress.set_postfix_str("smallNORB")
        before = _raw(file, [batch], seconds)[batch]
        runs.append(_serve(server, models, 1, seconds))
        raw.append((before + _raw(file, [batch], seconds)[batch]) / 2)
        progress.update()
    return _compare("smallNORB on the CPU", 1, batch, raw, runs)


def _raw(file: Path, batches: Sequence[int], seconds: float) -> dict[int, float]:
    command = [sys.executable, "-m", "benchmarks.serving.raw", str(file), str(seconds), *map(str, batches)]
    found = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ})
    return {int(batch): rate for batch, rate in json.loads(found.stdout).items()}


def _serve(server: Contender, models: Path, images: int, seconds: float) -> tuple[Load, Split]:
    path, body, headers = server.path, server.body, server.headers
    if images > 1:
        path = PATH
        body, headers = request_of(images)
    with server.start(models) as running, tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        url, content = running.url(path), Path(file.name)
        if images > 1:
            check_served(running, body, headers)
        load(url, content, headers, CONNECTIONS, WARM_S)
        main, others = cpu_s(running.pid)
        found = load(url, content, headers, CONNECTIONS, seconds)
        main_after, others_after = cpu_s(running.pid)
    parts = (found.generator_cpu_s, main_after - main, others_after - others)
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
            statistics.median(split.generator for split in splits),
            statistics.median(split.event_loop for split in splits),
            statistics.median(split.other_threads for split in splits),
        ),
        sum(found.refused + found.broken for found, _ in runs),
    )
