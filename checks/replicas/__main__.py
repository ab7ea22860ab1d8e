"""``scripts/check-replicas``: two services behind nginx and one Redis; each is ended under load."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from string import Template

import tyro
from tqdm import tqdm

from benchmarks.harness.process import Process, free_port
from benchmarks.harness.servers import matcaps
from benchmarks.harness.trivial import write_model
from checks.replicas.callers import load

CONFIG = Path(__file__).with_name("nginx.conf")
SETTLE_S = 2.0  # until nginx and the services have noticed what happened


def check(seconds: float = 5.0) -> None:
    """End a service with SIGTERM, kill one, and kill Redis, under load; exit with 1 if anything is lost.

    Every prediction must be answered rightly, at the latest when it is sent again. Poses must be found by their id
    from either service while Redis runs. They must answer 503 without Redis, and be found again when it is back.

    Args:
        seconds: length of the load around each event
    """
    for program, package in (("nginx", "nginx-light"), ("redis-server", "redis-server")):
        if shutil.which(program) is None:
            sys.exit(f"scripts/check-replicas: {program} is not installed; on Debian: apt-get install {package}")
    with tempfile.TemporaryDirectory(prefix="replicas-") as name, Deployment(Path(name)) as deployment:
        broken = asyncio.run(_run(deployment, seconds))
    print("\n".join(broken) or "nothing was lost")
    if broken:
        print("\n".join(f"end of the log of {name}: {text}" for name, text in deployment.logs.items()))
    sys.exit(bool(broken))


class Deployment:
    """Two services, nginx and Redis, by name; all are ended with the context."""

    def __init__(self, folder: Path) -> None:
        self.ports = {"first": free_port(), "second": free_port(), "nginx": free_port()}
        self._models, self._folder, self._redis = folder / "models", folder, folder / "redis"
        self.logs: dict[str, str] = {}  # the ends of those of ended processes
        self._running: dict[str, Process] = {}
        write_model(self._models)
        values = {"folder": folder, "port": self.ports["nginx"], **self.ports}
        (folder / "nginx.conf").write_text(Template(CONFIG.read_text()).substitute(values))

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, *error: object) -> None:
        for name in [*self._running]:
            self._forget(name)

    def start(self, name: str) -> None:
        """Start one, and wait until it is ready; Redis is not waited for."""
        if name == "redis":
            socket, folder = str(self._redis), str(self._folder)
            command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
            self._running[name] = Process(command)
        elif name == "nginx":
            command = ["nginx", "-c", str(self._folder / "nginx.conf"), "-p", str(self._folder)]
            self._running[name] = Process(command, self.ports[name])
            self._running[name].wait_until_ready()
        else:
            server = matcaps(f"--poses-url=unix://{self._redis}", "--log-level=error")
            self._running[name] = server.launch(self._models, self.ports[name])
            self._running[name].wait_until_ready()

    def stop(self, name: str, number: signal.Signals) -> int:
        """Send a signal, and return the exit status."""
        status = self._running[name].stop(number)
        self._forget(name)
        return status

    def _forget(self, name: str) -> None:
        process = self._running.pop(name)
        self.logs[name] = process.output()[-800:]
        process.end()


async def _run(deployment: Deployment, seconds: float) -> list[str]:
    broken: list[str] = []
    port = deployment.ports["nginx"]
    steps = tqdm(total=7, desc="replicas", unit="event")

    async def steady(title: str, poses: str) -> None:
        """Load while nothing happens: poses by id have one status alone."""
        seen = await load(port, seconds, settle_s=SETTLE_S)
        print(f"{title}: {seen}", flush=True)
        broken.extend(seen.wrong[:3])
        if set(seen.poses) != {poses}:
            broken.append(f"BROKEN: {title}: expected status {poses} alone for poses by id, got {dict(seen.poses)}")
        steps.update()

    async def during(title: str, event: Callable[[], Awaitable[None]]) -> None:
        """Load while an event happens after a third of it."""
        seen, _ = await asyncio.gather(load(port, seconds, settle_s=seconds), _later(seconds / 3, event))
        print(f"{title}: {seen}", flush=True)
        broken.extend(seen.wrong[:3])
        steps.update()

    async def drain() -> None:
        if status := await asyncio.to_thread(deployment.stop, "first", signal.SIGTERM):
            broken.append(f"BROKEN: expected exit status 0 after SIGTERM, got {status}")

    async def kill(name: str) -> None:
        await asyncio.to_thread(deployment.stop, name, signal.SIGKILL)

    async def start(*names: str) -> None:
        for name in names:
            await asyncio.to_thread(deployment.start, name)

    await start("redis", "first", "second", "nginx")
    await steady("both services", "200")
    await during("SIGTERM to one", drain)
    await start("first")
    await during("SIGKILL to the other", lambda: kill("second"))
    await start("second")
    await steady("both again", "200")
    await during("SIGKILL to Redis", lambda: kill("redis"))
    await steady("without Redis", "503")
    await start("redis")
    await steady("Redis again", "200")
    steps.close()
    return broken


async def _later(seconds: float, event: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await event()


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-replicas")
