"""wrk, a load generator in C, whose callers ask again as soon as they are answered."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.client import Request
from benchmarks.harness.process import Process

SCRIPT = Path(__file__).with_name("wrk.lua")


class MissingWrkError(Exception):
    """wrk is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Load:
    """The figures of one run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    largest_ms: float
    refused: int
    """Answers with a status of 400 or above."""
    broken: int
    """Connections that failed, and answers that did not come."""
    wrk_cpu_s: float = 0.0
    """CPU seconds of wrk itself."""

    @property
    def per_s(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def check_wrk() -> None:
    """Do nothing if wrk is installed.

    Raises:
        MissingWrkError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise MissingWrkError("the load generator wrk is missing; on Debian and Ubuntu: apt-get install wrk")


def load(process: Process, request: Request, connections: int, seconds: float) -> Load:
    """Post a request over ``connections`` connections for ``seconds`` seconds.

    Raises:
        ValueError: The output of wrk holds no figures; the message quotes it.
    """
    threads = 1  # one is enough for tens of thousands of requests a second, and leaves the server its cores
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        command += ["-s", str(SCRIPT), process.url(request.path), "--", body.name]
        for header in request.headers.items():
            command += header
        before = os.times()
        found = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return parse(found.stdout + found.stderr, cpu_s)


def parse(printed: str, wrk_cpu_s: float = 0.0) -> Load:
    """The figures of the last line of ``wrk.lua``.

    >>> parse('...\\n{"requests": 30, "duration_us": 2000000, "p50_us": 1500, "p99_us": 4000, "largest_us": 5000, '
    ...       '"refused": 1, "broken": 0}').per_s
    15.0

    Raises:
        ValueError: There is no such line; the message quotes the output.
    """
    line = next((line for line in reversed(printed.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise ValueError(f"wrk printed no figures: {printed.strip()[-300:]!r}")
    found = json.loads(line)
    return Load(
        requests=found["requests"],
        seconds=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        largest_ms=found["largest_us"] / 1e3,
        refused=found["refused"],
        broken=found["broken"],
        wrk_cpu_s=wrk_cpu_s,
    )
