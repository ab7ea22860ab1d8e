"""Nodes killed under load: whoever asks again is answered, and rightly."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.serving.stand_in import Sleeper
from checks.client import Client, post
from checks.load.restarts import is_right, picture
from checks.ray.cluster import NODES, Nodes
from deploy.ray.options import Options

CALLERS = 24
IMAGE_MS = 20.0
RETRY_S = 0.1
BEFORE_S, AFTER_S = 3.0, 3.0
AGAIN = (
    429,
    500,
    502,
    503,
    504,
)  # not answers; the service never says 500, but Serve's proxy does if the entrance dies
KEY = "matcaps_of-this-check"


@dataclass
class Losses:
    """What callers saw while a node died and was replaced.

    Attributes:
        answered: Requests that were answered in the end.
        retried: Attempts that failed, by why; each was followed by another one.
        wrong: Answers that were not the right ones.
        longest_s: That a request took, all its attempts included.
        replaced_s: Seconds until as many networks ran again as before.
    """

    answered: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    replaced_s: float = 0.0


def deploy(nodes: Nodes, models: Path, keys: Path) -> None:
    """Networks that sleep, one for each node, behind a key."""
    options = Options.model_validate(
        {"models": models, "api_keys": keys, "min_replicas": NODES, "max_replicas": NODES, "log_level": "error"}
    )
    nodes.deploy(options, lambda _: [Sleeper(0.0, IMAGE_MS)])


def kill(nodes: Nodes, with_entrance: bool) -> Losses:
    """Kill a node while callers ask, add a new one, and go on until the networks are as many as before."""
    losses, done = Losses(), threading.Event()
    with tqdm(desc="a node dies" + ", that of the entrance" * with_entrance, unit="answer") as progress:
        # In a thread, because Ray adds nodes in the main thread alone.
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
        headers = {"content-type": "image/png", "authorization": f"Bearer {KEY}"}
        while not done.is_set():
            level = levels.randrange(256)
            began = loop.time()
            await _ask_until_answered(client, post("/predict", picture(level), headers), level, losses)
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
            if answer.status not in AGAIN:
                losses.answered += 1
                if not is_right(answer, level):
                    losses.wrong.append(f"WRONG for grey {level}: {answer.status} {answer.body[:200]!r}")
                return
            losses.retried[str(answer.status)] += 1
        await asyncio.sleep(RETRY_S)
