"""One PNG a request: this service, the bare handler and the peers, by the number of callers."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.serving.contenders import OURS, Contender, contenders
from benchmarks.serving.figures import Answers
from benchmarks.serving.generator import Load, load
from benchmarks.serving.process import StartError
from benchmarks.serving.trivial import write_model

WARM_S = 1.0


def measure_pictures(
    connections: tuple[int, ...], rounds: int, seconds: float, progress: "tqdm[Any]"
) -> tuple[list[Answers], dict[str, str]]:
    """Figures of each server that is installed and starts, and why there are none of the others.

    In each round one server after the other is started, warmed up, asked and ended. A server that fails in any round
    has no figures at all. ``progress`` moves on by ``rounds`` times the number of contenders.
    """
    loads: dict[tuple[str, int], list[Load]] = defaultdict(list)
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        models = Path(name)
        write_model(models)
        for _ in range(rounds):
            for contender in contenders():
                progress.set_postfix_str(contender.name)
                if not contender.installed:
                    missing[contender.name] = "not installed: scripts/make-peers"
                elif contender.name not in missing:
                    try:
                        for number, found in _ask(contender, models, connections, seconds).items():
                            loads[contender.name, number].append(found)
                    except (StartError, ValueError) as error:
                        missing[contender.name] = f"does not serve here: {error}"
                progress.update()
    if OURS in missing:
        raise StartError(missing[OURS])
    answers = [
        Answers.of(name, number, found, loads[OURS, number])
        for (name, number), found in loads.items()
        if name not in missing
    ]
    return answers, missing


def _ask(contender: Contender, models: Path, connections: tuple[int, ...], seconds: float) -> dict[int, Load]:
    body = models / "body"
    body.write_bytes(contender.body)
    with contender.start(models) as running:
        url = running.url(contender.path)
        load(url, body, contender.headers, max(connections), WARM_S)
        return {number: load(url, body, contender.headers, number, seconds) for number in connections}
