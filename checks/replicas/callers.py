"""Callers who predict, ask again until they are answered, and read the poses of each answer by its id."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

from benchmarks.harness.client import Client, Request
from checks.known_answers import grey_request, is_right

CALLERS = 8
RETRY_S = 0.02
RETRIED = (429, 502, 503, 504)  # statuses after which a caller sends its prediction again


class Seen:
    """The answers that callers got."""

    def __init__(self) -> None:
        self.predictions, self.poses = Counter[str](), Counter[str]()
        self.wrong: list[str] = []

    def __str__(self) -> str:
        return f"predictions {_counts(self.predictions)}; poses by id {_counts(self.poses)}"


async def load(port: int, seconds: float, settle_s: float) -> Seen:
    """Load a port for ``settle_s + seconds``; statuses of poses count after ``settle_s``."""
    seen, client = Seen(), Client(port)
    loop = asyncio.get_running_loop()
    began = loop.time()
    total_s = seconds + settle_s

    async def call(seed: int) -> None:
        levels = random.Random(seed)
        while loop.time() < began + total_s:
            level = levels.randrange(256)
            answer = await _predict(client, level, seen)
            with contextlib.suppress(OSError, TimeoutError):
                found = await client.ask(Request(f"/poses/{answer['id']}").encode())
                if loop.time() > began + settle_s:
                    seen.poses[str(found.status)] += 1
                expected = answer["predictions"][0]["poses"]
                if found.status == 200 and found.json["predictions"][0]["poses"] != expected:
                    seen.wrong.append(f"WRONG poses for grey {level}")

    try:
        await asyncio.gather(*(call(seed) for seed in range(CALLERS)))
    finally:
        client.close()
    return seen


async def _predict(client: Client, level: int, seen: Seen) -> dict[str, Any]:
    request = grey_request(level)
    while True:
        try:
            answer = await client.ask(request)
        except (OSError, TimeoutError) as error:
            seen.predictions[f"sent again ({type(error).__name__})"] += 1
        else:
            seen.predictions[str(answer.status)] += 1
            if is_right(answer, level):
                content: dict[str, Any] = answer.json
                return content
            if answer.status not in RETRIED:
                seen.wrong.append(f"WRONG for grey {level}: {answer.status} {answer.body[:200]!r}")
        await asyncio.sleep(RETRY_S)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items())) or "none"
