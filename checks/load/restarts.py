"""``scripts/check-restarts``: ``kill -9`` under load, many times; no answer with status 200 is wrong."""

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.client import Client
from benchmarks.harness.process import START_S, Process, StartError, free_port, with_children
from benchmarks.harness.servers import matcaps
from benchmarks.harness.trivial import write_model
from checks.known_answers import grey_request, is_right

RETRY_S = 0.02
LONGEST_S = 1.0  # from a server's first answer to its end


def check(times: int = 100, callers: int = 8, workers: int = 1) -> None:
    """Kill and restart the service under load, and exit with 1 if an answer is wrong.

    A request without an answer is sent again. Every answer must have status 200 and the activations of its image.

    Args:
        times: how often the service is killed
        callers: callers at once
        workers: processes that speak HTTP; with several, one of them is killed before the engine is
    """
    seen, wrong = asyncio.run(_run(times, callers, workers))
    print(f"{times} kills: " + ", ".join(f"{count} × {kind}" for kind, count in sorted(seen.items())))
    print("\n".join(wrong[:5]) or "no answer was wrong")
    sys.exit(bool(wrong))


async def _run(times: int, callers: int, workers: int) -> tuple[Counter[str], list[str]]:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    answered, done = asyncio.Event(), asyncio.Event()
    port, chance = free_port(), random.Random(0)
    client = Client(port)

    async def call(seed: int) -> None:
        levels = random.Random(seed)
        while not done.is_set():
            level = levels.randrange(256)
            request = grey_request(level)
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
                server = matcaps("--log-level=error", f"--http-workers={workers}")
                with server.launch(Path(name), port) as process:
                    answered.clear()
                    try:
                        await asyncio.wait_for(answered.wait(), START_S)
                        await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
                        if workers > 1:
                            await _kill_a_worker(process, chance, answered)
                            await asyncio.sleep(chance.uniform(0.0, LONGEST_S))
                    except TimeoutError:
                        raise StartError(f"no right answer after {START_S:.0f} s: {process.output()[-800:]}") from None
                    finally:
                        await asyncio.to_thread(process.stop, signal.SIGKILL)
        finally:
            done.set()
            await asyncio.gather(*tasks)
            client.close()
    return seen, wrong


async def _kill_a_worker(process: Process, chance: random.Random, answered: asyncio.Event) -> None:
    """Kill an HTTP worker, and wait for the next right answer."""
    answered.clear()
    os.kill(chance.choice(with_children(process.pid)[1:]), signal.SIGKILL)
    await asyncio.wait_for(answered.wait(), START_S)


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-restarts")
