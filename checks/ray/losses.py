"""Nodes are killed under load: every request is answered rightly, at the latest when it is sent again."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness.client import Client
from benchmarks.harness.stand_in import Sleeper
from checks.known_answers import grey_request, is_right
from checks.ray.cluster import NODES, Nodes
from deploy.ray.options import Options

CALLERS = 24
IMAGE_MS = 20.0
RETRY_S = 0.1
BEFORE_S, AFTER_S = 3.0, 3.0
RETRIED = (429, 500, 502, 503, 504)  # the service never answers 500, but Serve's proxy does if the entrance dies
KEY = "matcaps_of-this-check"


@dataclass
class Losses:
    """The answers that callers got while a node died and was replaced.

    Attributes:
        answered: Requests that were answered.
        retried: Attempts that failed, by reason; each was followed by another one.
        wrong: A line for each wrong answer.
        longest_s: Longest time of a request, with all its attempts.
        replaced_s: Seconds until as many networks ran as before.
    """

    answered: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    replaced_s: float = 0.0


def deploy(nodes: Nodes, models: Path, keys: Path) -> None:
    """Deploy networks that sleep, one for each node, behind an API key."""
    options = Options.model_validate(
        {"models": models, "api_keys": keys, "min_replicas": NODES, "max_replicas": NODES, "log_level": "error"}
    )
    nodes.deploy(options, lambda _: [Sleeper(0.0, IMAGE_MS)])


def kill(nodes: Nodes, with_entrance: bool) -> Losses:
    """Kill a node under load, add a new one, and go on until as many networks run as before."""
    losses, done = Losses(), threading.Event()
    with tqdm(desc="a node dies" + ", that of the entrance" * with_entrance, unit="answer") as progress:
        # In a thread, because Ray adds nodes in the main thread only.
        asking = threading.Thread(target=lambda: asyncio.run(_ask(nodes.port, losses, done, progress.update)))
        asking.start()
        try:
            time.sleep(BEFORE_S)
            nodes.kill(with_entrance)
            nodes.add()
            losses.replaced_s = nodes.wait_for(NODES)
            time.sleep(AFTER_S)
        finally:
            done.set()
            asking.join()
    return losses


async def _ask(port: int, losses: Losses, done: threading.Event, tick: Callable[[], object]) -> None:
    client, loop = Client(port), asyncio.get_running_loop()

    async def call(seed: int) -> None:
        levels = random.Random(seed)
        headers = {"authorization": f"Bearer {KEY}"}
        while not done.is_set():
            level = levels.randrange(256)
            began = loop.time()
            await _ask_until_answered(client, grey_request(level, headers), level, losses)
            losses.longest_s = max(losses.longest_s, loop.time() - began)
            tick()

    await asyncio.gather(*(call(seed) for seed in range(CALLERS)))
    client.close()


async def _ask_until_answered(client: Client, request: bytes, level: int, losses: Losses) -> None:
    while True:
        try:
            answer = await client.ask(request)
        except (OSError, TimeoutError) as error:
            losses.retried[type(error).__name__] += 1
        else:
            if answer.status not in RETRIED:
                losses.answered += 1
                if not is_right(answer, level):
                    losses.wrong.append(f"WRONG for grey {level}: {answer.status} {answer.body[:200]!r}")
                return
            losses.retried[str(answer.status)] += 1
        await asyncio.sleep(RETRY_S)
