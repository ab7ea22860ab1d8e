"""The engine process: starts, replaces and drains the HTTP workers."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from uvicorn.loops.auto import auto_loop_factory

from matcaps.service.app import create_engine, traces_of
from matcaps.service.collector import spare_loaded_objects
from matcaps.service.engine.loader import Load, local_loader
from matcaps.service.engine.reload import Reloader
from matcaps.service.errors import StartError
from matcaps.service.keys import Keys, check_exposure
from matcaps.service.server import share
from matcaps.service.settings import Settings
from matcaps.service.telemetry.metrics import Metrics
from matcaps.service.workers.connection import WorkerConnection
from matcaps.service.workers.dispatcher import SILENT_S, TICK_S, Dispatcher

log = logging.getLogger("matcaps")

PAUSE_S = 1.0  # before a worker is started in the place of one that died before it was ready
END_S = 2.0  # that a worker may take to end after it has closed its socket
LATE_S = 5.0  # that a worker may take to end, beyond the time of the drain


class Supervisor:
    """The engine, and the HTTP workers before it. They run from ``serve_until_told`` to its end.

    Args:
        settings: The settings of the service.
        load: Opens a model file; see ``create_app``.
        clock: Monotonic clock in seconds.

    Raises:
        StartError: As ``create_app``.
    """

    def __init__(self, settings: Settings, load: Load, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._metrics, self._keys = Metrics(), Keys(settings.api_keys)
        check_exposure(settings.host, self._keys, settings.allow_anonymous)
        self._traces = traces_of(settings)
        loader = local_loader(settings, load, clock)
        self._engine = create_engine(settings, loader, self._metrics, self._traces, clock)

    def serve_until_told(self, bound: socket.socket, on_ready: Callable[[socket.socket], None]) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP refreshes models and keys.

        Args:
            bound: Of ``reserve``: the address at which all workers listen.
            on_ready: Called with it once all workers listen.

        Raises:
            StartError: A worker ended before it was ready.
        """
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(self._serve(bound, on_ready))

    async def _serve(self, bound: socket.socket, on_ready: Callable[[socket.socket], None]) -> None:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(self._engine, self._settings, self._keys, self._metrics, self._clock)
        dispatcher.on_complete = partial(on_ready, bound)

        def refresh() -> None:
            self._keys.refresh()
            self._engine.refresh()
            loop.call_soon_threadsafe(dispatcher.announce)

        reloader = Reloader(refresh, self._settings.poll_s)
        told, told_twice = asyncio.Event(), asyncio.Event()

        def tell() -> None:
            (told_twice if told.is_set() else told).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, tell)
        loop.add_signal_handler(signal.SIGHUP, reloader.now)
        spare_loaded_objects()
        workers = range(self._settings.http_workers)
        serving = [asyncio.create_task(self._keep_serving(dispatcher, bound)) for _ in workers]
        waiting = asyncio.create_task(told.wait())
        try:
            await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            dispatcher.drain()
            bound.close()
            hurrying = asyncio.create_task(told_twice.wait())
            ended = asyncio.ensure_future(asyncio.wait(serving))
            await asyncio.wait(
                [ended, hurrying], timeout=self._settings.drain_s + LATE_S, return_when="FIRST_COMPLETED"
            )
            for task in (waiting, hurrying, ended, *serving):
                task.cancel()
            results = await asyncio.gather(*serving, return_exceptions=True)
            await asyncio.to_thread(reloader.close)
            await self._engine.close()
            if self._traces is not None:
                await asyncio.to_thread(self._traces.close)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _keep_serving(self, dispatcher: Dispatcher, bound: socket.socket) -> None:
        """Run a worker at the address of a socket, and another one each time it dies, until the service drains."""
        was_ready = False
        while not dispatcher.draining:
            ours, theirs = socket.socketpair()
            # Only the worker has its socket: if it dies, the others get the connections at once.
            with theirs, share(bound) as listener:
                process = _start_worker(theirs, listener)
            try:
                worker = await dispatcher.connect(ours)
                ready = await dispatcher.wait_until_ready(worker)
                await self._wait_until_gone(worker, process)
            finally:
                status = await _end(process)
            was_ready = was_ready or ready
            if dispatcher.draining:
                return
            if not was_ready:
                raise StartError(f"an HTTP worker ended with status {status} before it was ready")
            log.error("an HTTP worker ended with status %d, and is replaced", status)
            self._metrics.workers_replaced.inc()
            if not ready:
                await asyncio.sleep(PAUSE_S)

    async def _wait_until_gone(self, worker: WorkerConnection, process: subprocess.Popen[bytes]) -> None:
        while not worker.gone.is_set():
            try:
                async with asyncio.timeout(TICK_S):
                    await worker.gone.wait()
            except TimeoutError:
                if self._clock() - worker.heard_s > SILENT_S:
                    log.error("an HTTP worker has been silent for %d s", SILENT_S)
                    process.kill()


def _start_worker(end: socket.socket, listener: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the process of a worker, with the interpreter and the import path of this process."""
    inherited = [end.fileno(), listener.fileno()]
    command = [sys.executable, "-P", "-m", "matcaps.service.workers.worker", *map(str, inherited)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited, env=environment)


async def _end(process: "subprocess.Popen[bytes]") -> int:
    """The exit status of a process that ends now; one that does not is killed."""
    try:
        return await asyncio.to_thread(process.wait, END_S)
    except subprocess.TimeoutExpired:
        return process.returncode
    finally:
        process.kill()
        process.wait()
