"""``python -m benchmarks.explorer.predict``: CPU time of ``POST /predict`` with the explorer page and without it."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import tyro
from fastapi import APIRouter, FastAPI

from benchmarks.harness.stand_in import Sleeper, build
from benchmarks.harness.trivial import png, write_model
from benchmarks.tables import short, table
from matcaps.service import app as application
from matcaps.service.settings import Settings

WITH, WITHOUT = "with the page", "without"
Message = MutableMapping[str, Any]


def apps(models: Path) -> dict[str, FastAPI]:
    """The service twice, over a network that takes no time: as it is, and without the routes of the page."""
    settings = Settings(models=models, log_level="error")
    found = {WITH: build(settings, Sleeper(0, 0))}
    with mock.patch.object(application, "web_routes", return_value=APIRouter()):
        found[WITHOUT] = build(settings, Sleeper(0, 0))
    return found


def call(app: FastAPI) -> Callable[[], Awaitable[None]]:
    """Send the app one request with a picture, without a socket.

    Raises:
        RuntimeError: The answer is no prediction.
    """
    picture = png()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png"), (b"content-length", str(len(picture)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"POST /predict: expected status 200, got {message['status']}")

    async def ask() -> None:
        messages = [{"type": "http.request", "body": picture, "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        await app({**scope, "state": {}}, receive, send)

    return ask


async def measure(models: Path, rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of CPU per request in each round, of all threads; the two apps take turns."""
    async with AsyncExitStack() as stack:
        found = apps(models)
        for app in found.values():
            await stack.enter_async_context(app.router.lifespan_context(app))
        asking = {name: call(app) for name, app in found.items()}
        taken: dict[str, list[float]] = {name: [] for name in asking}
        for round_ in range(rounds + 1):
            for name in random.Random(round_).sample(list(asking), len(asking)):
                began = time.process_time()
                for _ in range(requests):
                    await asking[name]()
                taken[name].append(1e6 * (time.process_time() - began) / requests)
    return {name: values[1:] for name, values in taken.items()}  # the first round warms up


def main(rounds: int = 15, requests: int = 300) -> None:
    """Compare both in one process.

    Args:
        rounds: interleaved rounds that count, after one that does not
        requests: of each in a round
    """
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        taken = asyncio.run(measure(Path(folder), rounds, requests))
    ratios = [one / other for one, other in zip(taken[WITH], taken[WITHOUT], strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    rows = [(name, short(statistics.median(values))) for name, values in taken.items()]
    print(table(["POST /predict", "CPU µs per request"], rows, numbers=1))
    print(f"\nratio: {ratio:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    tyro.cli(main)
