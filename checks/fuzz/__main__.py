"""``scripts/check-fuzz``: schemathesis over the whole OpenAPI, then thousands of mutated requests."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.client import Client, Request
from benchmarks.harness.process import Process
from benchmarks.harness.servers import matcaps
from benchmarks.harness.trivial import write_model
from checks.fuzz.mutants import mutants

AT_ONCE = 4
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
LIMIT_S = 1800.0
# A schema cannot say that a tensor has as many elements as its shape, so the service rightly refuses most of what it
# allows.
EXCEPTIONS = """
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""


def check(
    schemathesis: Path | None = None, mutants: int = 10_000, examples: int = 50, broken: Path | None = None
) -> None:
    """Send malformed requests, and exit with 1 on a status of 500 or above, a crash or a hang.

    Args:
        schemathesis: program of that name; without it only mutated requests are sent
        mutants: number of mutated images and bodies
        examples: requests of schemathesis for each operation
        broken: folder for the requests that failed
    """
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with matcaps("--log-level=error").running(Path(name)) as process:
            if schemathesis is not None:
                failures += _schema(process, schemathesis, examples)
            failures += asyncio.run(_send_mutants(process, mutants, broken))
    print("\n".join(failures) or "no status of 500 or above, no crash, no hang")
    sys.exit(bool(failures))


def _schema(process: Process, program: Path, examples: int) -> list[str]:
    command = [str(program), "run", process.url("/openapi.json"), "--max-examples", str(examples)]
    command += ["--request-timeout", "30", "--seed", "1", "--continue-on-failure", "--no-color"]
    # schemathesis finds its hooks by module name, and writes files to the folder where it runs.
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS.stem, "PYTHONPATH": str(HOOKS.parent)}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "schemathesis.toml").write_text(EXCEPTIONS)
        found = subprocess.run(command, timeout=LIMIT_S, check=False, cwd=folder, env=environment)
    return [] if found.returncode == 0 else [f"schemathesis ended with status {found.returncode}; see above"]


async def _send_mutants(process: Process, number: int, broken: Path | None) -> list[str]:
    client, statuses, failures = Client(process.port), Counter[int](), list[str]()
    waiting = iter(tqdm(mutants(number), desc="mutants", unit="request", total=number))

    async def send() -> None:
        for request in waiting:
            try:
                answer = await client.ask(request)
            except (OSError, TimeoutError) as error:
                what = f"{type(error).__name__} {error}"
            else:
                statuses[answer.status] += 1
                if answer.status < 500:
                    continue
                what = f"{answer.status} {answer.body[:200]!r}"
            failures.append(f"BROKEN: {request[:60]!r}: {what}")
            if broken is not None:
                broken.mkdir(parents=True, exist_ok=True)
                (broken / f"{len(failures)}.http").write_bytes(request)

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    try:
        live = await client.ask(Request("/health/live").encode())
        if live.status != 200:
            failures.append(f"BROKEN: expected status 200 of /health/live, got {live.status}")
    except (OSError, TimeoutError) as error:
        failures.append(f"BROKEN: expected an answer of /health/live, got {error}")
    client.close()
    print("mutants: " + ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())))
    return failures


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-fuzz")
