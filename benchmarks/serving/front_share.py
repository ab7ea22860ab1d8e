"""A front's CPU time per request: ``python -m benchmarks.serving.front_share``.

The network does nothing, and wrk posts one PNG over and over. So the CPU time of the process is that of HTTP, decoding,
batching and encoding. With HTTP workers it is that of all workers; their engine has ``engine_share``.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.process import cpu_s, with_children
from benchmarks.harness.servers import Server
from benchmarks.harness.trivial import write_model
from benchmarks.serving.engine_share import Nothing
from benchmarks.serving.png_requests import WARM_S
from benchmarks.serving.wrk import check_wrk, load
from matcaps.service.app import create_app
from matcaps.service.server import Server as HttpServer
from matcaps.service.server import listen, reserve
from matcaps.service.settings import Settings
from matcaps.service.telemetry.logs import configure
from matcaps.service.workers.supervisor import Supervisor

MAX_BATCH = 32


def measure(callers: int = 32, workers: int = 1, rounds: int = 5, seconds: float = 3.0) -> None:
    """Print the front's CPU time per request.

    Args:
        callers: callers at once; each asks again when it is answered
        workers: processes that speak HTTP; 1 does all in one process
        rounds: loads, of which the median is printed
        seconds: length of each load
    """
    check_wrk()
    server = Server("front", Path(sys.executable), ["-m", "benchmarks.serving.front_share", "{port}", "{models}"])
    found = []
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        with server.with_options(str(workers)).running(Path(name)) as process:
            load(process, server.request, callers, WARM_S)
            fronts = with_children(process.pid)[1:] or [process.pid]
            for _ in tqdm(range(rounds), desc="front", unit="load"):
                before = sum(sum(cpu_s(pid)) for pid in fronts)
                answered = load(process, server.request, callers, seconds).requests
                found.append(1e6 * (sum(sum(cpu_s(pid)) for pid in fronts) - before) / answered)
    print(f"{statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f}) µs of CPU time per request")


def serve(port: int, models: Path, workers: int) -> None:
    """Serve a network that does nothing until SIGTERM."""
    settings = Settings(port=port, models=models, max_batch=MAX_BATCH, http_workers=workers)
    nothing = Nothing(MAX_BATCH)
    log = configure(settings.log_format, settings.log_level)
    if workers > 1:
        bound = reserve(settings.host, settings.port)
        Supervisor(settings, lambda _: [nothing]).serve_until_told(bound, lambda _: None)
    else:
        app = create_app(settings, lambda _: [nothing], log=log)
        HttpServer(app, settings).serve_until_told(listen(settings.host, settings.port))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1].isdigit():
        serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    else:
        tyro.cli(measure, prog="python -m benchmarks.serving.front_share")
