"""Everything that ``python -m benchmarks routing`` measures."""

from dataclasses import dataclass

import torch
from tqdm import tqdm

from benchmarks.machine import Machine
from benchmarks.routing.errors import Error, measure_errors
from benchmarks.routing.growth import Growth, measure_growth
from benchmarks.routing.implementations import IMPLEMENTATIONS, Preset, exported
from benchmarks.routing.memory import Memory, measure_memory
from benchmarks.routing.rates import Rate, measure_rates
from benchmarks.routing.times import Time, measure_times


@dataclass(frozen=True)
class Settings:
    """What is measured, and how long at most.

    Attributes:
        presets: networks
        batch: batch sizes
        threads: numbers of threads of torch and onnxruntime on the CPU
        rounds: interleaved rounds that count, after one that does not
        limit: seconds of what is interleaved together; at least two rounds are run
    """

    presets: tuple[Preset, ...] = ("small_norb", "small_norb_small")
    batch: tuple[int, ...] = (1, 8, 64)
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 5
    limit: float = 35.0

    def __post_init__(self) -> None:
        for name in ("presets", "batch", "threads"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value")
        for name in ("batch", "threads"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {self.rounds}")


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and where."""

    command: str
    machine: Machine
    settings: Settings
    times: list[Time]
    memory: list[Memory]
    errors: list[Error]
    rates: list[Rate]
    growth: list[Growth]


def measure(settings: Settings, command: str = "") -> Report:
    """Measure everything, one after the other; ``command`` is quoted in the report."""
    torch.backends.cudnn.allow_tf32 = False  # the convolutions of a GPU must be as exact as everything else
    machine = Machine.here()
    names = [name for name, implementation in IMPLEMENTATIONS.items() if implementation.exported]
    cases = [(preset, name) for preset in settings.presets for name in names]
    graphs = {case: exported(*case) for case in tqdm(cases, desc="exports", unit="graph")}
    presets, rounds, limit = settings.presets, settings.rounds, settings.limit
    return Report(
        command,
        machine,
        settings,
        errors=list(measure_errors(presets, graphs)),
        times=list(measure_times(presets, settings.batch, settings.threads, rounds, limit, graphs)),
        rates=list(measure_rates(presets, settings.threads, rounds, limit)),
        growth=list(measure_growth(max(settings.threads), rounds, limit)),
        memory=list(measure_memory(presets, max(settings.batch), max(settings.threads), graphs)),
    )
