"""``scripts/check-soak``: minutes at 80 % of the service's capacity, and what its memory does."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.serving.process import memory_mib
from benchmarks.serving.stand_in import best_images_per_s
from benchmarks.serving.trivial import write_model
from checks.client import at_rate, post
from checks.load.overload import contender, summary

LOAD, GROWTH = 0.8, 0.02
IMAGE_MS, BATCH = 2.0, 8

Sample = tuple[float, float]
"""Seconds since the start, MiB."""


def check(minutes: float = 10.0) -> None:
    """Load the service before a device of 500 images a second, and exit with 1 if its memory grows or a request fails.

    The device sleeps, so that 80 % of it is 80 % whatever else the machine does. Memory is what the process holds for
    itself alone. It may grow by 2 % from the end of the first minute (of a short run: its first fifth) to the last such
    stretch.

    Args:
        minutes: of load
    """
    seconds = 60 * minutes
    server = contender(IMAGE_MS, BATCH)
    best = best_images_per_s(0.0, IMAGE_MS, BATCH)
    request = post(server.path, server.body, server.headers)
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with server.start(Path(name)) as running, tqdm(desc="soak", unit="s", total=round(seconds)) as progress:
            began = time.perf_counter()

            def tick() -> None:
                samples.append((time.perf_counter() - began, memory_mib(running.pid)))
                progress.update()

            outcome = asyncio.run(at_rate(running.port, request, LOAD * best, seconds, tick))
    before, after = ends(samples, warm_s=min(60.0, seconds / 5))
    print(f"80 % of {best:.0f} images/s for {minutes:g} minutes: {summary(outcome)}")
    print(f"memory: {before:.1f} MiB after the first minute, {after:.1f} MiB at the end ({after / before - 1:+.2%})")
    failed = sum(outcome.statuses.values()) - outcome.statuses[200] + outcome.broken + outcome.unsent
    if failed:
        print(f"BROKEN: {failed} requests failed: {dict(outcome.statuses)}, {outcome.broken} unanswered")
    if grown := after > before * (1 + GROWTH):
        print(f"BROKEN: memory grew by more than {GROWTH:.0%}")
    sys.exit(bool(failed or grown))


def ends(samples: Sequence[Sample], warm_s: float) -> tuple[float, float]:
    """Median memory of the stretch after the warm-up that is a sixth as long as it, and of the last one.

    >>> ends([(1.0, 5.0), (6.5, 9.0), (12.0, 9.5), (20.0, 10.0)], warm_s=6.0)
    (9.0, 10.0)
    """
    last = samples[-1][0]
    first = [mib for at, mib in samples if warm_s <= at <= warm_s * 7 / 6]
    end = [mib for at, mib in samples if at >= last - warm_s / 6]
    return statistics.median(first), statistics.median(end)


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-soak")
