"""Answers per second of networks that sleep: on one replica, and on all that autoscaling adds."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness.load import Outcome, by_callers
from benchmarks.harness.servers import matcaps
from benchmarks.harness.stand_in import Sleeper
from checks.ray.cluster import NODES, Nodes
from deploy.ray.options import Options

IMAGE_MS, BATCH = 100.0, 8
CALLERS = 2 * BATCH * NODES  # for each replica a batch that runs and one that waits
MEASURED_S = 20.0
QUEUE = 2 * CALLERS
LEAST = 2.7


@dataclass(frozen=True)
class Throughput:
    """The outcome of each load.

    Attributes:
        alone: With one replica.
        scaled: With all replicas.
        scaled_s: Seconds of load until all replicas ran.
        flood: With more requests at once than may wait.
    """

    alone: Outcome
    scaled: Outcome
    scaled_s: float
    flood: Outcome

    @property
    def ratio(self) -> float:
        """Throughput of all replicas divided by that of one."""
        return self.scaled.per_s / self.alone.per_s


def measure(nodes: Nodes, models: Path) -> Throughput:
    """Load one replica, load until Serve has started one on each node, and load these."""
    request = matcaps().request.encode()
    settings = {"models": models, "host": "127.0.0.1", "max_batch": BATCH, "max_queue": QUEUE, "log_level": "error"}

    def deploy(max_replicas: int) -> None:
        options = Options.model_validate({**settings, "max_replicas": max_replicas})
        nodes.deploy(options, lambda _: [Sleeper(0.0, IMAGE_MS)])

    def load(what: str, callers: int, seconds: float) -> Outcome:
        with tqdm(total=round(seconds), desc=what, unit="s") as progress:
            return asyncio.run(_ticking(nodes.port, request, callers, seconds, progress.update))

    deploy(1)
    alone = load("one replica", CALLERS, MEASURED_S)
    deploy(NODES)
    ended = threading.Event()
    under_load = threading.Thread(target=lambda: asyncio.run(_until(ended, nodes.port, request)))
    under_load.start()
    try:
        scaled_s = nodes.wait_for(NODES)
    finally:
        ended.set()
        under_load.join()
    scaled = load(f"{NODES} replicas", CALLERS, MEASURED_S)
    flood = load("too many", 2 * QUEUE, 1.0)
    return Throughput(alone, scaled, scaled_s, flood)


async def _ticking(port: int, request: bytes, callers: int, seconds: float, tick: Callable[[], object]) -> Outcome:
    loading = asyncio.ensure_future(by_callers(port, request, callers, seconds))
    while not loading.done():
        await asyncio.wait([loading], timeout=1.0)
        tick()
    return loading.result()


async def _until(ended: threading.Event, port: int, request: bytes) -> None:
    while not ended.is_set():
        await by_callers(port, request, CALLERS, 1.0)
