"""Requests of one PNG: matcaps, the bare handler and the peers, by the number of callers."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.process import StartError
from benchmarks.harness.servers import Server
from benchmarks.harness.trivial import write_model
from benchmarks.serving.contenders import contenders
from benchmarks.serving.figures import Answers
from benchmarks.serving.wrk import Load, load

WARM_S = 1.0


def measure_png_requests(
    connections: tuple[int, ...], rounds: int, seconds: float, progress: "tqdm[Any]"
) -> tuple[list[Answers], dict[str, str]]:
    """The figures of each server that is installed and starts, and the reason for each other one.

    Each round starts, warms up, loads and ends one server after the other. A server that fails in one round has no
    figures. ``progress`` moves on by ``rounds`` times the number of contenders.

    Raises:
        StartError: matcaps does not start.
    """
    ours = contenders()[0].name
    loads: dict[tuple[str, int], list[Load]] = defaultdict(list)
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        models = Path(name)
        write_model(models)
        for _ in range(rounds):
            for contender in contenders():
                progress.set_postfix_str(contender.name)
                if not contender.installed:
                    missing[contender.name] = "not installed; scripts/make-peers installs it"
                elif contender.name not in missing:
                    try:
                        for number, found in _load(contender, models, connections, seconds).items():
                            loads[contender.name, number].append(found)
                    except (StartError, ValueError) as error:
                        missing[contender.name] = f"does not start here: {error}"
                progress.update()
    if ours in missing:
        raise StartError(missing[ours])
    answers = [
        Answers.of(name, number, found, loads[ours, number])
        for (name, number), found in loads.items()
        if name not in missing
    ]
    return answers, missing


def _load(server: Server, models: Path, connections: tuple[int, ...], seconds: float) -> dict[int, Load]:
    with server.running(models) as process:
        load(process, server.request, max(connections), WARM_S)
        return {number: load(process, server.request, number, seconds) for number in connections}
