"""Everything that ``python -m benchmarks serving`` measures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from benchmarks.harness.process import ROOT, StartError
from benchmarks.machine import Machine
from benchmarks.serving.against_network import Against, measure_shipped, measure_sleeper
from benchmarks.serving.contenders import contenders
from benchmarks.serving.figures import Answers
from benchmarks.serving.png_requests import measure_png_requests
from benchmarks.serving.tensor_requests import NotServedError, Tensors, measure_tensor_requests
from benchmarks.serving.wrk import check_wrk

T = TypeVar("T")

# Images per request, ms of a batch, ms of each image, largest batch. 32 callers of one image keep two batches of 16
# under way. The second device is as fast as a GPU; its callers send eight images each.
SLEEPERS: tuple[tuple[int, float, float, int], ...] = ((1, 20.0, 1.0, 16), (8, 2.0, 0.1, 64))


@dataclass(frozen=True)
class Settings:
    """What is measured, and how long.

    Attributes:
        connections: callers at once, each of which asks again as soon as it is answered
        rounds: interleaved rounds; the figures are their medians
        seconds: length of each load
        models: folder of the shipped models
        images: images per binary request
    """

    connections: tuple[int, ...] = (1, 32)
    rounds: int = 3
    seconds: float = 4.0
    models: Path = ROOT / "model_repository"
    images: int = 64

    def __post_init__(self) -> None:
        if not self.connections or min(self.connections) < 1:
            raise ValueError(f"connections must be one or more numbers of at least 1, got {self.connections}")
        for name in ("rounds", "seconds", "images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Report:
    """All figures and the machine; ``missing`` gives the reason for each figure that is not there."""

    command: str
    machine: Machine
    settings: Settings
    png_requests: list[Answers]
    tensor_requests: Tensors | None
    against_network: list[Against]
    missing: dict[str, str] = field(default_factory=dict)


def measure(settings: Settings, command: str = "") -> Report:
    """Measure everything, one after the other; ``command`` is quoted in the report.

    Raises:
        MissingWrkError: wrk is not installed.
        StartError: This service does not start.
    """
    check_wrk()
    machine = Machine.here()
    rounds, seconds = settings.rounds, settings.seconds
    total = rounds * (len(contenders()) + 1 + len(SLEEPERS) + 1) + 1
    with tqdm(desc="serving", unit="run", total=total) as progress:
        answers, missing = measure_png_requests(settings.connections, rounds, seconds, progress)

        def attempt(name: str, work: Callable[[], T]) -> T | None:
            try:
                return work()
            except (NotServedError, StartError) as error:
                missing[name] = str(error)
                progress.update(rounds)
                return None

        tensors = attempt("v2 binary", lambda: measure_tensor_requests(settings.images, rounds, seconds, progress))
        against = [
            attempt(
                f"sleeping device, {sleeper[0]} a request",
                partial(measure_sleeper, *sleeper, rounds, seconds, progress),
            )
            for sleeper in SLEEPERS
        ]
        against.append(attempt("smallNORB", lambda: measure_shipped(settings.models, rounds, seconds, progress)))
    found = [one for one in against if one is not None]
    return Report(command, machine, settings, answers, tensors, found, missing)
