"""``python -m benchmarks training``: training steps by recipe and precision, beside the paper's CNN."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.machine import Machine, places
from benchmarks.rounds import Spread, interleave
from benchmarks.tables import place, short, table
from benchmarks.training.steps import batch_of, made
from matcaps.training.config import TrainConfig
from matcaps.training.engine.step import EAGER_STEPS
from matcaps.training.recipes import RECIPES

MIXED, FLOAT32, CNN = "capsules, mixed precision", "capsules, float32", "the paper's CNN, mixed precision"
COLOURS = {MIXED: "#c8553d", FLOAT32: "#e0b36a", CNN: "#9a9a9a"}
FOREVER = 1_000_000  # steps of the schedule: more than are measured


@dataclass(frozen=True)
class Settings:
    """What is measured, and how long at most.

    Attributes:
        recipes: recipes of ``matcaps train``
        batch: images per step
        threads: numbers of torch's threads on the CPU
        rounds: interleaved rounds that count, after one that does not
        limit: seconds of what is interleaved together; at least two rounds are run
    """

    recipes: tuple[str, ...] = ("mnist", "fashion-mnist", "smallnorb-stereo-small", "smallnorb-stereo")
    batch: int = 32
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 7
    limit: float = 35.0

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1:
            raise ValueError(f"threads must be one or more numbers of at least 1, got {self.threads}")
        if unknown := set(self.recipes) - set(RECIPES):
            raise ValueError(f"recipes are {', '.join(RECIPES)}, got {', '.join(sorted(unknown))}")
        for name in ("batch", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class StepTime:
    """The time of a step per image: forward, backward, optimizer and average of weights."""

    recipe: str
    network: str
    device: str
    threads: int | None
    """None on a GPU."""
    per_image: Spread
    ratio: float
    """Its time divided by that of the capsules in float32."""


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and where."""

    command: str
    machine: Machine
    settings: Settings
    steps: list[StepTime]


def measure(settings: Settings, command: str = "") -> Report:
    """Measure everything; ``command`` is quoted in the report."""
    return Report(command, Machine.here(), settings, list(_measure_steps(settings)))


def _measure_steps(settings: Settings) -> Iterator[StepTime]:
    cells = [(recipe, *where) for recipe in settings.recipes for where in places(settings.threads)]
    runs = (settings.rounds + 1) * len(COLOURS) * len(cells)
    with tqdm(desc="steps", unit="run", total=runs) as progress:
        for recipe, device, threads in cells:
            progress.set_postfix_str(f"{recipe}, {place(threads)}")
            if threads:
                torch.set_num_threads(threads)
            config = RECIPES[recipe]
            configs = {
                MIXED: replace(config, run=replace(config.run, precision="mixed")),
                FLOAT32: replace(config, run=replace(config.run, precision="float32")),
                CNN: replace(config, run=replace(config.run, precision="mixed"), architecture="cnn"),
            }
            actions = {name: _step(config, settings.batch, torch.device(device)) for name, config in configs.items()}
            seconds = interleave(actions, settings.rounds, settings.limit, progress)
            spreads = {name: Spread.of(taken, images=settings.batch) for name, taken in seconds.items()}
            for name, spread in spreads.items():
                ratio = spread.median_ms / spreads[FLOAT32].median_ms
                yield StepTime(recipe, name, device, threads, spread, ratio)


def _step(config: TrainConfig, batch: int, device: torch.device) -> Callable[[], object]:
    state, step = made(config, device, capture=True, steps=FOREVER)
    state.network.train()
    given = batch_of(config, batch, 0, device)
    if device.type == "cpu":
        return partial(step, given)

    def finished() -> None:
        step(given)
        torch.cuda.synchronize()

    for _ in range(EAGER_STEPS + 1):  # the last one captures the graph
        finished()
    return finished


def markdown(report: Report) -> str:
    """All figures as Markdown, with the command, the machine and the commit."""
    head = ["recipe", "on", "network", "ms per image", "/ float32", "images/s"]
    rows = [
        [
            step.recipe,
            place(step.threads),
            step.network,
            f"{short(spread.median_ms)} ({short(spread.fastest_ms)}–{short(spread.slowest_ms)})",
            f"{step.ratio:.2f}",
            f"{1e3 / spread.median_ms:,.0f}",
        ]
        for step, spread in ((step, step.per_image) for step in report.steps)
    ]
    said = (
        f"Training steps of {report.settings.batch} images: forward, backward, optimizer, average of weights; "
        "median (fastest–slowest round)."
    )
    return f"`{report.command}`\n\n{report.machine}\n\n{said}\n\n{table(head, rows, numbers=3)}\n"


def picture(report: Report) -> Figure:
    """Bars for each recipe, of the GPU if there is one, else of the CPU with the most threads."""
    threads = None if report.machine.gpu else max(report.settings.threads)
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, colour) in enumerate(COLOURS.items()):
        steps = [step for step in report.steps if (step.network, step.threads) == (name, threads)]
        middles = [step.per_image.median_ms for step in steps]
        bars = axes.bar([recipe + 0.28 * (number - 1) for recipe in range(len(steps))], middles, 0.27, color=colour)
        bars.set_label(name)
        axes.bar_label(bars, [short(middle) for middle in middles], fontsize=8)
    axes.set_xticks(range(len(report.settings.recipes)), report.settings.recipes)
    axes.set_ylabel(f"ms per image, {place(threads)}")
    axes.legend(frameon=False)
    figure.supxlabel(f"{report.machine.processor}, {report.machine.cores} cores, commit {report.machine.commit}")
    return figure
