"""``scripts/check-soak``: a long load at 80 % of capacity; no request fails and memory stays flat."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.load import at_rate
from benchmarks.harness.process import memory_mib, with_children
from benchmarks.harness.servers import stand_in
from benchmarks.harness.stand_in import best_images_per_s
from benchmarks.harness.trivial import write_model
from checks.load.overload import summary

LOAD, GROWTH = 0.8, 0.02
IMAGE_MS, BATCH = 2.0, 8

Sample = tuple[float, float]
"""Seconds since the start, MiB."""


def check(minutes: float = 10.0, workers: int = 1) -> None:
    """Load the service over a device of 500 images per second; exit with 1 if memory grows or a request fails.

    The device sleeps, so its speed does not depend on other work on the machine. Memory is the private memory of all
    its processes. It may grow by 2 % from the end of the warm-up to the end of the load. The warm-up is the first
    minute, or the first fifth of a short run.

    Args:
        minutes: length of the load
        workers: processes that speak HTTP
    """
    seconds = 60 * minutes
    server = stand_in(f"--http-workers={workers}", image_ms=IMAGE_MS, max_batch=BATCH)
    best = best_images_per_s(0.0, IMAGE_MS, BATCH)
    request = server.request.encode()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with server.running(Path(name)) as process, tqdm(desc="soak", unit="s", total=round(seconds)) as progress:
            began = time.perf_counter()

            def tick() -> None:
                memory = sum(memory_mib(pid) for pid in with_children(process.pid))
                samples.append((time.perf_counter() - began, memory))
                progress.update()

            outcome = asyncio.run(at_rate(process.port, request, LOAD * best, seconds, tick))
    before, after = ends(samples, warm_s=min(60.0, seconds / 5))
    print(f"80 % of {best:.0f} images/s for {minutes:g} minutes: {summary(outcome)}")
    print(f"memory: {before:.1f} MiB after the warm-up, {after:.1f} MiB at the end ({after / before - 1:+.2%})")
    failed = sum(outcome.statuses.values()) - outcome.statuses[200] + outcome.broken + outcome.unsent
    if failed:
        print(f"BROKEN: {failed} requests failed: {dict(outcome.statuses)}, {outcome.broken} without an answer")
    if grown := after > before * (1 + GROWTH):
        print(f"BROKEN: at most {GROWTH:.0%} growth of memory, got {after / before - 1:.2%}")
    sys.exit(bool(failed or grown))


def ends(samples: Sequence[Sample], warm_s: float) -> tuple[float, float]:
    """Median memory after the warm-up and at the end, each over a sixth of the warm-up's length.

    >>> ends([(1.0, 5.0), (6.5, 9.0), (12.0, 9.5), (20.0, 10.0)], warm_s=6.0)
    (9.0, 10.0)
    """
    last = samples[-1][0]
    first = [mib for at, mib in samples if warm_s <= at <= warm_s * 7 / 6]
    end = [mib for at, mib in samples if at >= last - warm_s / 6]
    return statistics.median(first), statistics.median(end)


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-soak")
