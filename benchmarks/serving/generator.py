"""wrk, a load generator in C: as many callers as are wanted, each of which asks again as soon as it is answered."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("post.lua")


class MissingGeneratorError(Exception):
    """wrk is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Load:
    """What one run of the generator saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    largest_ms: float
    refused: int
    """Answers of status 400 and above."""
    broken: int
    """Connections that failed, and answers that never came."""
    generator_cpu_s: float = 0.0
    """Time on a core that the generator itself took."""

    @property
    def per_s(self) -> float:
        """Requests in a second."""
        return self.requests / self.seconds


def check_generator() -> None:
    """Say what to install where there is no wrk.

    Raises:
        MissingGeneratorError: There is none.
    """
    if shutil.which("wrk") is None:
        raise MissingGeneratorError("the load generator wrk is missing; on Debian and Ubuntu: apt-get install wrk")


def load(url: str, body: Path, headers: Mapping[str, str], connections: int, seconds: float) -> Load:
    """Post a body from so many connections for so long.

    Raises:
        ValueError: What wrk printed cannot be read; the message holds it.
    """
    threads = 1  # one is enough for tens of thousands of requests a second, and leaves the server its cores
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["-s", str(SCRIPT), url, "--", str(body)]
    for header in headers.items():
        command += header
    before = os.times()
    found = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return parse(found.stdout + found.stderr, cpu_s)


def parse(printed: str, generator_cpu_s: float = 0.0) -> Load:
    """The figures of the line that ``post.lua`` ends with.

    >>> parse('...\\n{"requests": 30, "duration_us": 2000000, "p50_us": 1500, "p99_us": 4000, "largest_us": 5000, '
    ...       '"refused": 1, "broken": 0}').per_s
    15.0

    Raises:
        ValueError: There is no such line; the message holds what there is.
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
        generator_cpu_s=generator_cpu_s,
    )
