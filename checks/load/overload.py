"""``scripts/check-overload``: ten times the load that the device can carry, beside the load that it can carry."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.load import Outcome, at_rate, by_callers
from benchmarks.harness.process import cpu_s, with_children
from benchmarks.harness.servers import stand_in
from benchmarks.harness.stand_in import best_images_per_s
from benchmarks.harness.trivial import write_model

IMAGE_MS, BATCH = 10.0, 8
QUEUE = 2 * BATCH  # room for all callers at capacity, who ask again before the next batch has begun
CAPACITY_S = 20.0
SLOWER, LEAST = 2.0, 0.95


def check(seconds: float = 60.0, times: float = 10.0, workers: int = 1) -> None:
    """Overload a device of 100 images per second, and exit with 1 if a bound is broken.

    Capacity is measured with 16 callers who ask again when they are answered: 8 in the batch, 8 in the queue, none
    refused. Under overload, requests are sent at a fixed rate. The p99 latency of accepted requests may be at most
    twice that at capacity. Accepted requests must be at least 95 % of what the device can do. All others must get 429.

    Args:
        seconds: length of the overload
        times: the load, as a multiple of the capacity
        workers: processes that speak HTTP
    """
    options = [f"--max-queue={QUEUE}", f"--http-workers={workers}"]
    server = stand_in(*options, image_ms=IMAGE_MS, max_batch=BATCH)
    best = best_images_per_s(0.0, IMAGE_MS, BATCH)
    request = server.request.encode()
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with server.running(Path(name)) as process, tqdm(desc="overload", unit="s", total=round(seconds)) as progress:
            capacity = asyncio.run(by_callers(process.port, request, 2 * BATCH, min(CAPACITY_S, seconds)))
            before = all_cpu_s(process.pid), time.process_time()
            overload = asyncio.run(at_rate(process.port, request, times * best, seconds, progress.update))
            busy = all_cpu_s(process.pid) - before[0], time.process_time() - before[1]
    failures = broken_bounds(capacity, overload, best)
    print(f"at capacity: {summary(capacity)}\nat {times:g} times: {summary(overload)}; device: {best:.0f} images/s")
    service, generator = (used / overload.seconds for used in busy)
    print(f"busy cores: {service:.2f} by the service, {generator:.2f} by the load generator")
    print("\n".join(failures) or "right: p99, throughput, and 429 for all others")
    sys.exit(bool(failures))


def broken_bounds(capacity: Outcome, overload: Outcome, best: float) -> list[str]:
    """A line for each bound that is broken."""
    failures = []
    if capacity.broken or set(capacity.statuses) != {200}:
        failures.append(
            f"BROKEN: at capacity, expected status 200 alone, got {dict(capacity.statuses)} "
            f"and {capacity.broken} without an answer"
        )
    p99, allowed = overload.percentile_ms(99), SLOWER * capacity.percentile_ms(99)
    if not p99 <= allowed:
        failures.append(f"BROKEN: at most {allowed:.0f} ms p99 of accepted requests, got {p99:.0f} ms")
    if overload.per_s < LEAST * best:
        failures.append(f"BROKEN: at least {LEAST * best:.1f} images/s, got {overload.per_s:.1f}")
    others = {status: count for status, count in overload.statuses.items() if status not in (200, 429)}
    if others or overload.broken or overload.unsent:
        failures.append(
            f"BROKEN: expected status 200 and 429 alone, got {others}, {overload.broken} without an answer "
            f"and {overload.unsent} not sent"
        )
        failures += [f"{count} × {reason}" for reason, count in overload.reasons.items()]
    return failures


def all_cpu_s(pid: int) -> float:
    """CPU seconds of a process and those that it has started."""
    return sum(sum(cpu_s(one)) for one in with_children(pid))


def summary(outcome: Outcome) -> str:
    """An outcome on one line."""
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(outcome.statuses.items()))
    middle, high = outcome.percentile_ms(50), outcome.percentile_ms(99)
    return f"{outcome.per_s:.1f} images/s, p50 {middle:.0f} ms, p99 {high:.0f} ms ({statuses})"


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-overload")
