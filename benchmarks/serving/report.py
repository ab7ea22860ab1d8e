"""``python -m benchmarks serving``: all that is measured of serving, as one report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from benchmarks.machine import Machine
from benchmarks.serving.against import Against, measure_shipped, measure_sleeper
from benchmarks.serving.contenders import contenders
from benchmarks.serving.figures import Answers
from benchmarks.serving.generator import check_generator
from benchmarks.serving.pictures import measure_pictures
from benchmarks.serving.process import ROOT, StartError
from benchmarks.serving.tensors import NotServedError, Tensors, measure_tensors

T = TypeVar("T")

# Images a request, what a batch and each image take in ms, largest batch. 32 callers of one image keep two batches of
# 16 under way; the second device is as quick as a GPU, and its callers bring eight images each.
SLEEPERS: tuple[tuple[int, float, float, int], ...] = ((1, 20.0, 1.0, 16), (8, 2.0, 0.1, 64))


@dataclass(frozen=True)
class Settings:
    """What is measured, and how long.

    Attributes:
        connections: callers at once, each of which asks again as soon as it is answered
        rounds: interleaved ones; medians count
        seconds: of each load
        models: folder of the shipped models
        images: of a binary request
    """

    connections: tuple[int, ...] = (1, 32)
    rounds: int = 3
    seconds: float = 4.0
    models: Path = ROOT / "model_repository"
    images: int = 64

    def __post_init__(self) -> None:
        if not self.connections or min(self.connections) < 1:
            raise ValueError(f"connections must be one number or several of at least 1, found {self.connections}")
        for name in ("rounds", "seconds", "images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and where; ``missing`` says why something was not."""

    command: str
    machine: Machine
    settings: Settings
    pictures: list[Answers]
    tensors: Tensors | None
    against: list[Against]
    missing: dict[str, str] = field(default_factory=dict)


def measure(settings: Settings, command: str = "") -> Report:
    """Measure everything, one after the other; ``command`` is what the report says that it comes from.

    Raises:
        MissingGeneratorError: wrk is not installed.
        StartError: This service does not start.
    """
    check_generator()
    machine = Machine.here()
    rounds, seconds = settings.rounds, settings.seconds
    total = rounds * (len(contenders()) + 1 + len(SLEEPERS) + 1) + 1
    with tqdm(desc="serving", unit="run", total=total) as progress:
        pictures, missing = measure_pictures(settings.connections, rounds, seconds, progress)

        def attempt(name: str, work: Callable[[], T]) -> T | None:
            try:
                return work()
            except (NotServedError, StartError) as error:
                missing[name] = str(error)
                progress.update(rounds)
                return None

        tensors = attempt("v2 binary", lambda: measure_tensors(settings.images, rounds, seconds, progress))
        against = [
            attempt(
                f"sleeping device, {sleeper[0]} a request",
                partial(measure_sleeper, *sleeper, rounds, seconds, progress),
            )
            for sleeper in SLEEPERS
        ]
        against.append(attempt("smallNORB", lambda: measure_shipped(settings.models, rounds, seconds, progress)))
    found = [one for one in against if one is not None]
    return Report(command, machine, settings, pictures, tensors, found, missing)
