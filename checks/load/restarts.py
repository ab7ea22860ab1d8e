"""``scripts/check-restarts``: kill -9 under load, again and again; a caller who retries never hears anything wrong."""

import asyncio
import contextlib
import io
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from PIL import Image
from tqdm import tqdm

from benchmarks.serving.process import ROOT, START_S, free_port
from benchmarks.serving.trivial import CLASSES, SIDE, write_model
from checks.client import Answer, Client, post

RETRY_S = 0.02
LONGEST_S = 1.0  # from a server's first answer to its end


def check(times: int = 100, callers: int = 8) -> None:
    """Kill and restart the service, and exit with 1 if any answer of status 200 is not the right one.

    Answers may be missing when the process dies; then they are asked for again. Any status but 200 is an error.

    Args:
        times: it is killed
        callers: at once
    """
    seen, wrong = asyncio.run(_run(times, callers))
    print(f"{times} kills: " + ", ".join(f"{count} × {kind}" for kind, count in sorted(seen.items())))
    print("\n".join(wrong[:5]) or "nothing wrong was answered")
    sys.exit(bool(wrong))


def picture(level: int) -> bytes:
    """An even grey PNG: its activations are known."""
    file = io.BytesIO()
    Image.new("L", (SIDE, SIDE), level).save(file, "PNG")
    return file.getvalue()


def is_right(answer: Answer, level: int) -> bool:
    """Whether an answer is the trivial network's to a picture of this grey."""
    if answer.status != 200:
        return False
    try:
        (prediction,) = json.loads(answer.body)["predictions"]
    except (ValueError, KeyError):
        return False
    expected = {name: (level + place) / 1000 for place, name in enumerate(CLASSES)}
    found = prediction["activations"]
    near = set(found) == set(expected) and all(abs(found[name] - value) < 1e-5 for name, value in expected.items())
    return near and prediction["label"] == CLASSES[-1]


async def _run(times: int, callers: int) -> tuple[Counter[str], list[str]]:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    answered, done = asyncio.Event(), asyncio.Event()
    port, chance = free_port(), random.Random(0)
    client = Client(port)

    async def call(seed: int) -> None:
        levels = random.Random(seed)
        while not done.is_set():
            level = levels.randrange(256)
            request = post("/predict", picture(level), {"content-type": "image/png"})
            while not done.is_set():
                try:
                    answer = await client.ask(request)
                except (OSError, TimeoutError) as error:
                    seen[f"retried ({type(error).__name__})"] += 1
                    await asyncio.sleep(RETRY_S)
                    continue
                seen[str(answer.status)] += 1
                if is_right(answer, level):
                    answered.set()
                else:
                    wrong.append(f"WRONG for grey {level}: {answer.status} {answer.body[:200]!r}")
                break

    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        tasks = [asyncio.create_task(call(seed)) for seed in range(callers)]
        try:
            for _ in tqdm(range(times), desc="restarts", unit="kill"):
                process = await _start(port, Path(name))
                try:
                    answered.clear()
                    await asyncio.wait_for(answered.wait(), START_S)
                    await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGKILL)
                    await process.wait()
        finally:
            done.set()
            await asyncio.gather(*tasks)
            client.close()
    return seen, wrong


async def _start(port: int, models: Path) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "matcaps", "serve", f"--port={port}", f"--models={models}", "--log-level=error",
        cwd=ROOT, env=environment,
    )  # fmt: skip


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-restarts")
