"""``scripts/check-fuzz``: schemathesis over the whole OpenAPI, then thousands of mutants; nothing may break."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.serving.contenders import contenders
from benchmarks.serving.process import Running
from benchmarks.serving.trivial import write_model
from checks.client import Client, post
from checks.fuzz.mutants import requests

AT_ONCE = 4
HOOKS = Path(__file__).with_name("media_types.py")
GIVEN_S = 1800.0
# No schema can say that a tensor has as many elements as its shape says, so most of what it allows is rightly refused.
EXCEPTIONS = """
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""


def check(
    schemathesis: Path | None = None, mutants: int = 10_000, examples: int = 50, broken: Path | None = None
) -> None:
    """Send what nobody should, and exit with 1 on a status of 500 and above, a crash or a hang.

    Args:
        schemathesis: its program; without it only mutants are sent
        mutants: mutated pictures and bodies
        examples: of schemathesis for each operation
        broken: folder for requests that broke something
    """
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with contenders()[0].with_settings("--log-level", "error").start(Path(name)) as running:
            if schemathesis is not None:
                failures += _schema(running, schemathesis, examples)
            failures += asyncio.run(_mutants(running, mutants, broken))
    print("\n".join(failures) or "no status of 500 and above, no crash, no hang")
    sys.exit(bool(failures))


def _schema(running: Running, program: Path, examples: int) -> list[str]:
    command = [str(program), "run", running.url("/openapi.json"), "--max-examples", str(examples)]
    command += ["--request-timeout", "30", "--seed", "1", "--continue-on-failure", "--no-color"]
    # It finds its hooks by module name, and keeps its own notes where it runs.
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS.stem, "PYTHONPATH": str(HOOKS.parent)}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "schemathesis.toml").write_text(EXCEPTIONS)
        found = subprocess.run(command, timeout=GIVEN_S, check=False, cwd=folder, env=environment)
    return [] if found.returncode == 0 else [f"schemathesis ended with status {found.returncode}; see above"]


async def _mutants(running: Running, number: int, broken: Path | None) -> list[str]:
    client, statuses, failures = Client(running.port), Counter[int](), list[str]()
    waiting = iter(tqdm(requests(number), desc="mutants", unit="request", total=number))

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
        live = await client.ask(post("/health/live", b"", {}, method="GET"))
        if live.status != 200:
            failures.append(f"BROKEN: /health/live answers {live.status}")
    except (OSError, TimeoutError) as error:
        failures.append(f"BROKEN: the service does not answer any more: {error}")
    client.close()
    print("mutants: " + ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())))
    return failures


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-fuzz")
