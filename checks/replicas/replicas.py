"""``scripts/check-replicas``: two services behind nginx, and one Redis; each ends under load, and nothing is lost."""

import asyncio
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import tyro
from tqdm import tqdm

from benchmarks.serving.process import ROOT, START_S, end, free_port
from benchmarks.serving.trivial import write_model
from checks.client import Client, post
from checks.load.restarts import is_right, picture

CALLERS = 8
RETRY_S = 0.02
SETTLE_S = 2.0  # until nginx and the services have seen what happened
AGAIN = (429, 502, 503, 504)  # answers after which a caller of predictions asks again
BALANCER = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream matcaps {{
        least_conn;
        server 127.0.0.1:{first} max_fails=0;
        server 127.0.0.1:{second} max_fails=0;
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 32m;
        client_header_timeout 10s;
        location / {{
            proxy_pass http://matcaps;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 1s;
            proxy_next_upstream error non_idempotent;
            proxy_next_upstream_tries 2;
        }}
    }}
}}
"""


class Seen:
    """What callers met with while one thing happened."""

    def __init__(self) -> None:
        self.predictions, self.poses = Counter[str](), Counter[str]()
        self.wrong: list[str] = []

    def __str__(self) -> str:
        def told(counts: Counter[str]) -> str:
            return ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items())) or "none"

        return f"predictions {told(self.predictions)}; poses by id {told(self.poses)}"


def check(seconds: float = 5.0) -> None:
    """End a replica gently, kill one, and kill Redis, under load; exit with 1 if anything that was accepted is lost.

    Every prediction must be answered rightly, at the latest when it is asked for again. Poses must be found by their id
    from either replica while there is a Redis, must answer 503 while there is none, and be found again when it is back.

    Args:
        seconds: of load around each event
    """
    for program in ("nginx", "redis-server"):
        if shutil.which(program) is None:
            sys.exit(f"scripts/check-replicas: there is no {program}; on Debian: apt-get install {program}")
    with tempfile.TemporaryDirectory(prefix="replicas-") as name:
        broken = asyncio.run(_run(Path(name), seconds))
    print("\n".join(broken) or "nothing was lost")
    sys.exit(bool(broken))


async def _run(folder: Path, seconds: float) -> list[str]:
    models = folder / "models"
    write_model(models)
    port, first, second = (free_port() for _ in range(3))
    redis = folder / "redis"
    keep = ["redis-server", "--port", "0", "--unixsocket", str(redis), "--save", "", "--dir", str(folder)]
    serve = [
        sys.executable,
        "-m",
        "matcaps",
        "serve",
        f"--models={models}",
        f"--poses-url=unix://{redis}",
        "--log-level=error",
    ]
    (folder / "nginx.conf").write_text(BALANCER.format(folder=folder, port=port, first=first, second=second))
    balance = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    broken: list[str] = []
    with Processes() as running:
        running.start("redis", keep)
        running.start("first", [*serve, f"--port={first}"])
        running.start("second", [*serve, f"--port={second}"])
        running.start("nginx", balance)
        for waited in (first, second, port):
            await _ready(waited)

        async def phase(what: str, poses: str) -> None:
            seen = await _load(port, seconds, settle_s=SETTLE_S)
            print(f"{what}: {seen}", flush=True)
            broken.extend(seen.wrong[:3])
            if set(seen.poses) != {poses}:
                broken.append(f"BROKEN: {what}: poses by id should answer {poses} alone")

        async def during(what: str, event: Any) -> None:
            seen, _ = await asyncio.gather(_load(port, seconds, settle_s=seconds), event)
            print(f"{what}: {seen}", flush=True)
            broken.extend(seen.wrong[:3])

        async def later(do: Any) -> None:
            await asyncio.sleep(seconds / 3)
            await do()

        async def drain() -> None:
            status = await asyncio.to_thread(running.stop, "first", signal.SIGTERM)
            if status:
                broken.append(f"BROKEN: a drained service ended with status {status}")

        async def kill(name: str) -> None:
            await asyncio.to_thread(running.stop, name, signal.SIGKILL)

        steps = tqdm(total=7, desc="replicas", unit="event")
        await phase("both replicas", "200")
        steps.update()
        await during("SIGTERM to one", later(drain))
        steps.update()
        running.start("first", [*serve, f"--port={first}"])
        await _ready(first)
        await during("SIGKILL to the other", later(lambda: kill("second")))
        steps.update()
        running.start("second", [*serve, f"--port={second}"])
        await _ready(second)
        await phase("both again", "200")
        steps.update()
        await during("SIGKILL to Redis", later(lambda: kill("redis")))
        steps.update()
        await phase("without Redis", "503")
        steps.update()
        running.start("redis", keep)
        await phase("Redis again", "200")
        steps.update()
        steps.close()
    return broken


async def _load(port: int, seconds: float, settle_s: float) -> Seen:
    """Callers who predict, ask again until they are answered, and read the poses of each answer by its id.

    Statuses of poses count once ``settle_s`` has passed; until then whatever happened is still under way.
    """
    seen, client = Seen(), Client(port)
    loop = asyncio.get_running_loop()
    began = loop.time()
    total_s = seconds + settle_s

    async def call(seed: int) -> None:
        levels = random.Random(seed)
        while loop.time() < began + total_s:
            level = levels.randrange(256)
            answer = await predict(level)
            read = post(f"/poses/{json.loads(answer)['id']}", b"", {}, method="GET")
            with contextlib.suppress(OSError, TimeoutError):
                found = await client.ask(read)
                if loop.time() > began + settle_s:
                    seen.poses[str(found.status)] += 1
                expected = json.loads(answer)["predictions"][0]["poses"]
                if found.status == 200 and json.loads(found.body)["predictions"][0]["poses"] != expected:
                    seen.wrong.append(f"WRONG poses for grey {level}")

    async def predict(level: int) -> bytes:
        request = post("/predict", picture(level), {"content-type": "image/png"})
        while True:
            try:
                answer = await client.ask(request)
            except (OSError, TimeoutError) as error:
                seen.predictions[f"asked again ({type(error).__name__})"] += 1
            else:
                seen.predictions[str(answer.status)] += 1
                if is_right(answer, level):
                    return answer.body
                if answer.status not in AGAIN:
                    seen.wrong.append(f"WRONG for grey {level}: {answer.status} {answer.body[:200]!r}")
            await asyncio.sleep(RETRY_S)

    try:
        await asyncio.gather(*(call(seed) for seed in range(CALLERS)))
    finally:
        client.close()
    return seen


async def _ready(port: int) -> None:
    """Return when somebody is ready at a port.

    Raises:
        TimeoutError: Nobody is.
    """
    client = Client(port)
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError):
                if (await client.ask(post("/health/ready", b"", {}, method="GET"))).status == 200:
                    break
            await asyncio.sleep(0.1)
    client.close()


class Processes:
    """Programs by names of ours, all ended at the end."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running.values():
            end(process)

    def start(self, name: str, command: list[str]) -> None:
        """Start a program; what it says goes to standard error."""
        self._running[name] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)

    def stop(self, name: str, number: signal.Signals) -> int:
        """Send a signal, and return the status that the program ends with."""
        process = self._running.pop(name)
        process.send_signal(number)
        return process.wait(START_S)


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-replicas")
