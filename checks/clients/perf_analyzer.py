"""``python -m checks.clients.perf_analyzer``: Triton's perf_analyzer measures the service over HTTP.

It comes with ``pip install perf-analyzer==2.60.0``, on Linux with glibc 2.38 or newer. Of the two inputs of a model it
sends pixels, which come from a file, and it asks for all outputs.
"""

import base64
import csv
import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro

from benchmarks.harness.process import ROOT
from benchmarks.harness.servers import matcaps
from benchmarks.machine import Machine
from matcaps.client import Client

PROGRAM = "perf_analyzer"
LIMIT_S = 300.0


class Figure(NamedTuple):
    """What it measured with so many callers."""

    callers: int
    per_s: float
    p50_ms: float
    p99_ms: float


def installed(program: str = PROGRAM) -> bool:
    """Whether the first word of a command can be run."""
    return shutil.which(shlex.split(program)[0]) is not None


def measure(address: str, model: str, program: str, callers: Sequence[int], requests: int) -> list[Figure]:
    """Run it once for each number of callers, with random pixels of the model's size.

    Raises:
        ValueError: It failed, or a request did.
    """
    with Client(address) as client:
        found = client.model(model)
    shape = (found.channels, found.height, found.width)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tensor = {"b64": base64.b64encode(pixels.tobytes()).decode(), "shape": list(shape)}
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "images.json"
        data.write_text(json.dumps({"data": [{"images": tensor}]}))
        return [_run(address, model, program, data, number, requests) for number in callers]


def _run(address: str, model: str, program: str, data: Path, callers: int, requests: int) -> Figure:
    report = data.with_name(f"{callers}.csv")
    # One window of so many requests, however steady: other work on the machine would end the run without a result.
    window = ["--measurement-mode=count_windows", f"--measurement-request-count={requests}"]
    window += ["--stability-percentage=999"]
    command = [*shlex.split(program), "-m", model, "-u", address.removeprefix("http://"), "-i", "http"]
    command += [f"--input-data={data}", f"--concurrency-range={callers}", *window, "-f", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode or not report.exists():
        raise ValueError(f"status {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
    with report.open() as file:
        (row,) = csv.DictReader(file)
    if any(float(row.get(column) or 0) for column in ("Delayed Request Count", "Failed Request Count")):
        raise ValueError(f"requests failed: {row}")
    per_s, p50_ms, p99_ms = (
        float(row["Inferences/Second"]),
        float(row["p50 latency"]) / 1e3,
        float(row["p99 latency"]) / 1e3,
    )
    if not per_s > 0:
        raise ValueError(f"no inference was counted: {row}")
    return Figure(callers, per_s, p50_ms, p99_ms)


def main(program: str = PROGRAM, model: str = "smallnorb", requests: int = 400) -> None:
    """Measure a shipped model on the CPU, with 1 and with 8 callers, and print a table.

    Args:
        program: The command of perf_analyzer.
        model: A model of model_repository/.
        requests: Requests of one measurement.
    """
    if not installed(program):
        raise SystemExit(f"{program} is not installed: pip install perf-analyzer==2.60.0 (Linux, glibc 2.38 or newer)")
    with matcaps("--device=cpu", "--log-level=warning", f"--default-model={model}").running(
        ROOT / "model_repository"
    ) as process:
        figures = measure(process.url(""), model, program, [1, 8], requests)
    print("| callers | inferences/s | p50, ms | p99, ms |\n|---:|---:|---:|---:|")
    for figure in figures:
        print(f"| {figure.callers} | {figure.per_s:.1f} | {figure.p50_ms:.1f} | {figure.p99_ms:.1f} |")
    machine = Machine.here()
    print(f"\n{machine.processor}, {machine.cores} cores, load {machine.load}, commit {machine.commit}")


if __name__ == "__main__":
    tyro.cli(main, prog="python -m checks.clients.perf_analyzer")
