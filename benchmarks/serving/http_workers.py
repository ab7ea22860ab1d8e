"""Several HTTP workers, beside other servers with as many: ``python -m benchmarks.serving.http_workers``.

Prints two tables: one PNG per request over a trivial network, and the share of a simulated GPU that is reached.
"""

import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import tyro
from tqdm import tqdm

from benchmarks.harness.process import Process, StartError
from benchmarks.harness.servers import Server, stand_in
from benchmarks.harness.trivial import write_model
from benchmarks.machine import Machine
from benchmarks.serving.contenders import BARE, contenders
from benchmarks.serving.figures import Rate, ratio
from benchmarks.serving.png_requests import WARM_S
from benchmarks.serving.wrk import Load, MissingWrkError, check_wrk, load
from benchmarks.tables import short, table

GPU_IMAGES_PER_S = 9000  # by the exported graph of smallnorb on an H100
GPU_BATCH = 64
OURS = "matcaps"

Servers = Mapping[tuple[str, int], Server]
"""By name and number of workers."""


def measure(
    workers: tuple[int, ...] = (1, 2),
    gpu_workers: tuple[int, ...] = (1, 2, 4),
    callers: int = 32,
    rounds: int = 5,
    seconds: float = 3.0,
) -> None:
    """Print both tables.

    Args:
        workers: of matcaps and of the other servers; the bare handler has one process; none leaves the table out
        gpu_workers: of matcaps before the simulated GPU; none leaves the table out
        callers: callers at once; each asks again when it is answered
        rounds: interleaved rounds; the figures are their medians
        seconds: length of each load
    """
    machine = Machine.here()
    beside = {(server.name, number): server for number in workers for server in contenders(number)}
    beside = {of: server for of, server in beside.items() if of[0] != BARE or of[1] == 1}
    gpu = {
        (OURS, number): stand_in(f"--http-workers={number}", image_ms=1e3 / GPU_IMAGES_PER_S, max_batch=GPU_BATCH)
        for number in gpu_workers
    }
    try:
        check_wrk()
        print(f"{machine}; {callers} callers, {rounds} interleaved rounds of {seconds:g} s\n")
        if beside:
            print(beside_others(_loads(beside, callers, rounds, seconds)) + "\n")
        if gpu:
            print(of_gpu(_loads(gpu, callers, rounds, seconds)))
    except (MissingWrkError, StartError) as error:
        sys.exit(f"python -m benchmarks.serving.http_workers: {error}")


def _loads(servers: Servers, callers: int, rounds: int, seconds: float) -> dict[tuple[str, int], list[Load]]:
    """One load of each server in each round. All run at once.

    Peers that are not asked are stopped, because some of them poll. Ours is not: it would miss its workers' beats.
    """
    found: dict[tuple[str, int], list[Load]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        write_model(Path(folder))
        processes: dict[tuple[str, int], Process] = {}
        for of, server in servers.items():
            if server.installed:
                process = processes[of] = running.enter_context(server.running(Path(folder)))
                load(process, server.request, callers, WARM_S)
                if of[0] != OURS:
                    process.pause()
                    running.callback(process.resume)
            else:
                print(f"{of[0]} is not installed; scripts/make-peers installs it", file=sys.stderr)
        for _ in tqdm(range(rounds), desc="HTTP workers", unit="round"):
            for of, process in processes.items():
                if of[0] != OURS:
                    process.resume()
                found[of].append(load(process, servers[of].request, callers, seconds))
                if of[0] != OURS:
                    process.pause()
    return found


def beside_others(loads: Mapping[tuple[str, int], Sequence[Load]]) -> str:
    """The table of all servers, by name and number of workers."""
    head = ["server", "workers", "requests/s", "p50, ms", "failed", "matcaps with as many / server", "of one worker"]
    rows = []
    for (name, number), found in loads.items():
        ours, one = (_per_s(loads[of]) for of in ((OURS, number), (name, min(of[1] for of in loads))))
        rate = Rate.of(_per_s(found))
        rows.append(
            [
                name,
                str(number),
                f"{short(rate.median)} ({short(rate.lowest)}–{short(rate.highest)})",
                short(Rate.of([run.p50_ms for run in found]).median),
                _failed(found),
                f"{ratio(ours, _per_s(found)):.2f}×",
                f"{ratio(_per_s(found), one):.2f}×",
            ]
        )
    return table(head, rows, numbers=1)


def of_gpu(loads: Mapping[tuple[str, int], Sequence[Load]]) -> str:
    """The table of the simulated GPU."""
    rows = [
        [
            str(number),
            short(Rate.of(_per_s(found)).median),
            f"{100 * Rate.of(_per_s(found)).median / GPU_IMAGES_PER_S:.0f} %",
            _failed(found),
        ]
        for (_, number), found in loads.items()
    ]
    return table(["HTTP workers", "pictures/s", f"of {GPU_IMAGES_PER_S}", "failed"], rows, numbers=0)


def _per_s(loads: Sequence[Load]) -> list[float]:
    return [run.per_s for run in loads]


def _failed(loads: Sequence[Load]) -> str:
    return str(sum(run.refused + run.broken for run in loads))


if __name__ == "__main__":
    tyro.cli(measure, prog="python -m benchmarks.serving.http_workers")
