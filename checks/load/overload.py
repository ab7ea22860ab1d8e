"""``scripts/check-overload``: ten times what the device can do, against what it can."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.serving.contenders import Contender
from benchmarks.serving.process import cpu_s
from benchmarks.serving.stand_in import best_images_per_s
from benchmarks.serving.trivial import write_model
from checks.client import Outcome, at_rate, by_callers, post

IMAGE_MS, BATCH = 10.0, 8
QUEUE = 2 * BATCH  # room for all callers at capacity, who ask again before the next batch has begun
CAPACITY_S = 20.0
SLOWER, LEAST = 2.0, 0.95


def check(seconds: float = 60.0, times: float = 10.0) -> None:
    """Overload a device of 100 images a second, and exit with 1 if a promise is broken.

    Capacity is what 16 callers get who ask again when they are answered: 8 in the batch and 8 waiting, none refused.
    Under overload, requests come whether others are answered or not. Those that are let in must take at most twice as
    long (p99) as at capacity, and be at least 95 % of what the device can do; all others must be answered 429.

    Args:
        seconds: of overload
        times: the load, in capacities
    """
    server = contender(IMAGE_MS, BATCH, f"--max-queue={QUEUE}")
    best = best_images_per_s(0.0, IMAGE_MS, BATCH)
    request = post(server.path, server.body, server.headers)
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with server.start(Path(name)) as running, tqdm(desc="overload", unit="s", total=round(seconds)) as progress:
            capacity = asyncio.run(by_callers(running.port, request, 2 * BATCH, min(CAPACITY_S, seconds)))
            before = sum(cpu_s(running.pid)), time.process_time()
            overload = asyncio.run(at_rate(running.port, request, times * best, seconds, progress.update))
            busy = sum(cpu_s(running.pid)) - before[0], time.process_time() - before[1]
    failures = judge(capacity, overload, best)
    print(f"at capacity: {summary(capacity)}\nat {times:g} times: {summary(overload)}; device: {best:.0f} images/s")
    service, generator = (used / overload.seconds for used in busy)
    print(f"cores kept busy: {service:.2f} by the service, {generator:.2f} by the generator")
    print("\n".join(failures) or "kept: p99, throughput, and 429 for all others")
    sys.exit(bool(failures))


def contender(image_ms: float, batch: int, *options: str) -> Contender:
    """The service before a device that sleeps so long for each image."""
    sleeps = ["--fixed-ms=0", f"--image-ms={image_ms}", f"--max-batch={batch}"]
    arguments = ["-m", "benchmarks.serving.stand_in", "{port}", "{models}", *sleeps, *options]
    return Contender("stand-in", Path(sys.executable), arguments)


def judge(capacity: Outcome, overload: Outcome, best: float) -> list[str]:
    """The promises that were broken; none if all were kept."""
    failures = []
    if capacity.broken or set(capacity.statuses) != {200}:
        failures.append(f"BROKEN: at capacity, statuses {dict(capacity.statuses)}, {capacity.broken} unanswered")
    p99, allowed = overload.percentile_ms(99), SLOWER * capacity.percentile_ms(99)
    if not p99 <= allowed:
        failures.append(f"BROKEN: p99 of accepted requests {p99:.0f} ms, {allowed:.0f} allowed")
    if overload.per_s < LEAST * best:
        failures.append(f"BROKEN: {overload.per_s:.1f} images/s, {LEAST * best:.1f} wanted")
    others = {status: count for status, count in overload.statuses.items() if status not in (200, 429)}
    if others or overload.broken or overload.unsent:
        failures.append(f"BROKEN: statuses {others}, {overload.broken} unanswered, {overload.unsent} not sent")
        failures += [f"{count} × {reason}" for reason, count in overload.reasons.items()]
    return failures


def summary(outcome: Outcome) -> str:
    """One line."""
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(outcome.statuses.items()))
    middle, high = outcome.percentile_ms(50), outcome.percentile_ms(99)
    return f"{outcome.per_s:.1f} images/s, p50 {middle:.0f} ms, p99 {high:.0f} ms ({statuses})"


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-overload")
