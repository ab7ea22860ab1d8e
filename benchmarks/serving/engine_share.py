"""The engine's CPU time per request behind HTTP workers: ``python -m benchmarks.serving.engine_share``.

The network does nothing, and a second process sends what workers send, without HTTP. So all CPU time of this process is
the engine's share of a request, which bounds a host with many cores.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from uvicorn.loops.auto import auto_loop_factory

from benchmarks.harness.trivial import SIDE, metadata_values, output_shapes, write_model
from matcaps.service.app import create_engine
from matcaps.service.backends.artefact import CLASS_OUTPUTS, Metadata
from matcaps.service.backends.session import ONNXRUNTIME, Backend
from matcaps.service.engine.context import RequestContext
from matcaps.service.engine.loader import local_loader
from matcaps.service.engine.model_version import ModelRef
from matcaps.service.keys import Keys
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.workers.dispatcher import Dispatcher
from matcaps.service.workers.worker import Worker


class Nothing:
    """A session whose outputs are zeros that exist already."""

    provider = "nothing"
    backend = Backend(ONNXRUNTIME, "")
    workers = 1

    def __init__(self, max_batch: int) -> None:
        self.metadata = Metadata.model_validate(metadata_values())
        self._zeros = {name: np.zeros((max_batch, *shape), np.float32) for name, shape in output_shapes().items()}

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Mapping[str, NDArray[np.float32]]:
        return {name: self._zeros[name][: len(images)] for name in outputs or self._zeros}

    def padding(self, images: int) -> int:
        return 0


def measure(workers: int = 2, callers: int = 32, seconds: float = 5.0, max_batch: int = 32) -> None:
    """Print the engine's CPU time per request.

    Args:
        workers: processes that send requests
        callers: callers of all workers together; each asks again when it is answered
        seconds: length of the load
        max_batch: most samples per batch
    """
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        write_model(Path(name))
        runner.run(_serve(Path(name), workers, callers, seconds, max_batch))


async def _serve(models: Path, workers: int, callers: int, seconds: float, max_batch: int) -> None:
    settings = Settings(models=models, http_workers=workers, max_batch=max_batch)
    metrics = Metrics()
    loader = local_loader(settings, lambda _: [Nothing(max_batch)], time.monotonic)
    engine = create_engine(settings, loader, metrics, None, time.monotonic)
    dispatcher = Dispatcher(engine, settings, Keys(None), metrics, time.monotonic)
    senders = []
    for _ in range(workers):
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "benchmarks.serving.engine_share", str(theirs.fileno())]
            senders.append(subprocess.Popen([*command, str(callers // workers)], pass_fds=[theirs.fileno()]))
        await dispatcher.connect(ours)
    while not engine.started:
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.0)
    before, began = _requests(metrics), time.process_time()
    await asyncio.sleep(seconds)
    cpu_s, requests = time.process_time() - began, _requests(metrics) - before
    for sender in senders:
        sender.kill()
        sender.wait()
    print(
        f"{1e6 * cpu_s / requests:.1f} µs of CPU time per request, {requests / seconds:.0f} requests a second, ", end=""
    )
    print(f"{requests / _requests(metrics, 'matcaps_batch_images_count'):.1f} requests a batch")
    await engine.close()
    os._exit(0)


def _requests(metrics: Metrics, name: str = "matcaps_images_total") -> float:
    return metrics.registry.get_sample_value(name, {"model": "smallnorb"}) or 0.0


async def _send(end: socket.socket, callers: int) -> None:
    worker = Worker()
    await worker.connect(end)
    worker.listens()
    images = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    engine = worker.engine

    async def call(number: int) -> None:
        for turn in range(10**9):
            context = RequestContext()
            with engine.lease(ModelRef(), context) as version:
                deadline_s = time.monotonic() + 30
                await engine.infer(version, images, CLASS_OUTPUTS, deadline_s, context, f"{number:016x}{turn:016x}")

    await asyncio.gather(*(call(number) for number in range(callers)))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].isdigit():
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(_send(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
    else:
        tyro.cli(measure, prog="python -m benchmarks.serving.engine_share")
