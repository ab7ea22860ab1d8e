"""A service of several HTTP workers within one process: the same code and sockets, without the processes."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import structlog
from anyio.from_thread import start_blocking_portal

from matcaps.service.app import create_engine, traces_of
from matcaps.service.backends.session import Session
from matcaps.service.engine.loader import local_loader
from matcaps.service.engine.local import LocalEngine
from matcaps.service.keys import Keys
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.workers.dispatcher import Dispatcher
from matcaps.service.workers.worker import Worker
from tests.support.doubles import Client, FakeClock, fake_models


class Alternating(httpx.AsyncBaseTransport):
    """Sends each request to the next application."""

    def __init__(self, apps: list[Any]) -> None:
        self._transports = itertools.cycle([httpx.ASGITransport(app) for app in apps])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await next(self._transports).handle_async_request(request)


@asynccontextmanager
async def started_workers(
    engine: LocalEngine, settings: Settings, metrics: Metrics, keys: Keys | None = None
) -> AsyncIterator[tuple[Dispatcher, list[Worker]]]:
    """As many workers as the settings say, connected with an engine of this process."""
    dispatcher = Dispatcher(engine, settings, keys or Keys(settings.api_keys), metrics, time.monotonic)
    workers = []
    for _ in range(settings.http_workers):
        ours, theirs = socket.socketpair()
        worker = Worker()
        await asyncio.gather(dispatcher.connect(ours), worker.connect(theirs))
        workers.append(worker)
    try:
        yield dispatcher, workers
    finally:
        for worker in workers:
            await worker.close()
        for connection in list(dispatcher.workers):
            await connection.gone.wait()
        await engine.close()


@contextmanager
def serve_by_workers(
    folder: Path, sessions: Mapping[str, Session], clock: FakeClock | None = None, **settings: Any
) -> Iterator[Client]:
    """As ``serve``, but two workers answer the requests in turns."""
    default = next(iter(sessions)).partition("/")[0]
    chosen = Settings(models=folder, default_model=default, http_workers=2, **settings)
    metrics, now = Metrics(), clock or time.monotonic
    loader = local_loader(chosen, fake_models(folder, sessions), now)
    engine = create_engine(chosen, loader, metrics, traces_of(chosen), now)

    @asynccontextmanager
    async def connect() -> AsyncIterator[httpx.AsyncClient]:
        async with started_workers(engine, chosen, metrics) as (_, workers), AsyncExitStack() as stack:
            apps = []
            for worker in workers:
                worker.engine.clock = now
                apps.append(worker.create_app(structlog.stdlib.get_logger("matcaps")))
                await stack.enter_async_context(apps[-1].router.lifespan_context(apps[-1]))
                worker.listens()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while not all(worker.engine.ready for worker in workers):
                        await asyncio.sleep(0)
            yield await stack.enter_async_context(
                httpx.AsyncClient(transport=Alternating(apps), base_url="http://service")
            )

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connect()) as client:
        yield Client(portal, client)
