"""The service with the C++ kernel beside the service without it: ``python -m benchmarks.serving.cpu_kernel``."""

import contextlib
import io
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from PIL import Image
from tqdm import tqdm

from benchmarks.harness.client import Request, ask
from benchmarks.harness.process import ROOT, Process, StartError, cpu_s, memory_mib
from benchmarks.harness.servers import BOUNDARY, matcaps
from benchmarks.machine import Machine
from benchmarks.serving.png_requests import WARM_S
from benchmarks.serving.wrk import MissingWrkError, check_wrk, load
from benchmarks.tables import short, table

MODELS = ("smallnorb", "mnist", "fashion-mnist", "smallnorb-stereo")
MODES = ("off", "on")  # of --cpu-kernel
PICTURE = ROOT / "examples" / "airplane.png"


@dataclass(frozen=True)
class Sample:
    """One server under one load."""

    per_s: float
    event_loop_ms: float
    """CPU time of the main thread for each request: HTTP, and the decoding of small images."""
    other_threads_ms: float
    """CPU time of the other threads for each request: the network, and the decoding of large images."""


def measure(
    models: tuple[str, ...] = MODELS,
    callers: tuple[int, ...] = (1, 32),
    rounds: int = 5,
    seconds: float = 3.0,
    side: int = 0,
    folder: Path = ROOT / "model_repository",
) -> None:
    """Print requests per second with ``--cpu-kernel off`` and ``on``, their ratio, CPU time and memory.

    Both services run side by side and are loaded in turns. A request is one prediction, with two pictures for stereo.

    Args:
        models: names of models
        callers: callers at once, each of which asks again as soon as it is answered
        rounds: interleaved rounds; the figures are their medians
        seconds: length of each load
        side: height and width of the pictures; 0 sends each model's own size
        folder: folder of the models
    """
    try:
        check_wrk()
        if rounds < 2:
            raise ValueError(f"rounds must be at least 2, got {rounds}")
        with contextlib.ExitStack() as stack:
            options = (f"--default-model={models[0]}", "--device=cpu", "--log-level=error")
            servers = {
                mode: stack.enter_context(matcaps(f"--cpu-kernel={mode}", *options).launch(folder)) for mode in MODES
            }
            for server in servers.values():
                server.wait_until_ready()
            _report(servers, models, callers, rounds, seconds, side)
    except (MissingWrkError, StartError, ValueError) as error:
        sys.exit(f"python -m benchmarks.serving.cpu_kernel: {error}")


def _report(
    servers: dict[str, Process],
    models: tuple[str, ...],
    callers: tuple[int, ...],
    rounds: int,
    seconds: float,
    side: int,
) -> None:
    rows: list[list[str]] = []
    missing: list[str] = []
    with tqdm(desc="kernel", unit="comparison", total=len(models) * len(callers)) as progress:
        for model in models:
            request = request_for(ask(servers["off"].port, Request(f"/models/{model}")).json, side)
            for number in callers:
                progress.set_postfix_str(f"{model}, {number} callers")
                try:
                    rows.append([model, str(number), *_compare(servers, request, number, rounds, seconds)])
                except ValueError as error:
                    missing.append(f"\n* {model}, {number} callers: {error}")
                progress.update()
    head = ["model", "callers", "off, 1/s", "on, 1/s", "ratio", "off: event loop, other threads", "on: the same"]
    memory = ", ".join(f"{memory_mib(server.pid):.0f} MiB ({mode})" for mode, server in servers.items())
    size = f"{side}×{side}" if side else "of each network's own size"
    print(f"{Machine.here()}\n\nOne PNG {size} per request; ratio: median (quartiles); CPU time in ms per request.\n")
    print(table(head, rows, numbers=1))
    print(f"\nMemory of the process: {memory}", *missing)


def _compare(servers: dict[str, Process], request: Request, callers: int, rounds: int, seconds: float) -> list[str]:
    """The figures of one request.

    Raises:
        ValueError: A request was refused or got no answer, or the load ended before the first answer.
    """
    for server in servers.values():
        load(server, request, callers, WARM_S)
    found: dict[str, list[Sample]] = {mode: [] for mode in MODES}
    for round_ in range(rounds):
        for mode in MODES if round_ % 2 else MODES[::-1]:
            found[mode].append(_sample(servers[mode], request, callers, seconds))
    return figures(found["off"], found["on"])


def request_for(model: dict[str, Any], side: int) -> Request:
    """A request for one prediction, by what ``/models/NAME`` says of the model."""
    image = model["image"]
    size = (side or image["width"], side or image["height"])
    file = io.BytesIO()
    Image.open(PICTURE).convert("RGB" if image["channels"] == 3 else "L").resize(size).save(file, "PNG")
    path = f"/predict?model={model['name']}"
    if image["channels"] != 2:
        return Request(path, file.getvalue(), {"content-type": "image/png"})
    head = 'content-disposition: form-data; name="images"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n'
    part = f"--{BOUNDARY}\r\n{head}".encode() + file.getvalue() + b"\r\n"
    body = part + part + f"--{BOUNDARY}--\r\n".encode()
    return Request(path, body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})


def _sample(server: Process, request: Request, callers: int, seconds: float) -> Sample:
    main, others = cpu_s(server.pid)
    found = load(server, request, callers, seconds)
    main_after, others_after = cpu_s(server.pid)
    if found.refused or found.broken or not found.requests:
        said = f"{found.refused} requests were refused, {found.broken} got no answer"
        raise ValueError(f"{request.path}: {said}, of {found.requests} within {seconds:g} s")
    return Sample(
        found.per_s, 1e3 * (main_after - main) / found.requests, 1e3 * (others_after - others) / found.requests
    )


def figures(off: list[Sample], on: list[Sample]) -> list[str]:
    """The last cells of a row.

    >>> figures([Sample(10.0, 1.0, 9.0)] * 2, [Sample(20.0, 1.0, 4.0), Sample(30.0, 1.0, 4.0)])
    ['10.0', '25.0', '2.50 (2.25 to 2.75)', '1.00, 9.00', '1.00, 4.00']
    """
    ratios = [after.per_s / before.per_s for before, after in zip(off, on, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    rates = [short(statistics.median(one.per_s for one in samples)) for samples in (off, on)]
    times = [
        f"{short(statistics.median(one.event_loop_ms for one in samples))}, "
        f"{short(statistics.median(one.other_threads_ms for one in samples))}"
        for samples in (off, on)
    ]
    return [*rates, f"{middle:.2f} ({low:.2f} to {high:.2f})", *times]


if __name__ == "__main__":
    tyro.cli(measure, prog="python -m benchmarks.serving.cpu_kernel")
