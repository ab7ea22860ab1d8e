"""Load on a server: requests at a fixed rate, or from callers who wait for each answer.

wrk and similar tools ask again only when they are answered, so they slow down when a server is overloaded. Here each
request has a time at which it is due, and its latency counts from that time.
"""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.harness.client import Client

MOST_CONNECTIONS = 512


@dataclass
class Outcome:
    """The answers to the requests of one load.

    Attributes:
        seconds: How long the load lasted.
        statuses: How many answers of each status.
        latencies_s: Of the answers with status 200, from the time when each request was due.
        broken: Connections that ended before their answer, and answers that took longer than half a minute.
        unsent: Requests that were not sent because too many connections were busy.
        reasons: Why requests broke.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    broken: int = 0
    unsent: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def per_s(self) -> float:
        """Answers with status 200 per second."""
        return self.statuses[200] / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies.

        >>> Outcome(latencies_s=[0.004, 0.001, 0.003, 0.002]).percentile_ms(50)
        2.0
        """
        if not self.latencies_s:
            return math.nan
        ordered = sorted(self.latencies_s)
        return 1e3 * ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


async def at_rate(port: int, request: bytes, per_s: float, seconds: float, tick: Callable[[], object]) -> Outcome:
    """Send requests at random times (a Poisson process with a fixed seed), ``per_s`` on average.

    ``tick`` is called about once a second.
    """
    outcome, client, tasks = Outcome(), Client(port), set[asyncio.Task[None]]()
    chance, due, second = random.Random(0), 0.0, 1
    began = time.perf_counter()
    while (due := due + chance.expovariate(per_s)) < seconds:
        if (wait_s := began + due - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        if due >= second:
            second += 1
            tick()
        if client.busy >= MOST_CONNECTIONS:
            outcome.unsent += 1
            continue
        task = asyncio.create_task(_one(client, request, began + due, outcome))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    outcome.seconds = time.perf_counter() - began
    await asyncio.gather(*tasks)
    client.close()
    return outcome


async def by_callers(port: int, request: bytes, callers: int, seconds: float) -> Outcome:
    """Send requests from ``callers`` clients; each sends the next one as soon as it is answered."""
    outcome, client = Outcome(), Client(port)
    began = time.perf_counter()

    async def call() -> None:
        while time.perf_counter() < began + seconds:
            await _one(client, request, time.perf_counter(), outcome)

    await asyncio.gather(*(call() for _ in range(callers)))
    outcome.seconds = time.perf_counter() - began
    client.close()
    return outcome


async def _one(client: Client, request: bytes, due: float, outcome: Outcome) -> None:
    try:
        answer = await client.ask(request)
    except (OSError, TimeoutError) as error:
        outcome.broken += 1
        outcome.reasons[f"{type(error).__name__} {error}"] += 1
        return
    outcome.statuses[answer.status] += 1
    if answer.status == 200:
        outcome.latencies_s.append(time.perf_counter() - due)
