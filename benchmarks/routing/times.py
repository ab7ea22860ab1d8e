"""Milliseconds per image of whole networks, by preset, step, threads and batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import onnx
import torch
from tqdm import tqdm

from benchmarks.machine import places
from benchmarks.rounds import Spread, interleave
from benchmarks.routing.implementations import (
    IMPLEMENTATIONS,
    STEPS,
    YARDSTICK,
    Preset,
    Step,
    action,
    build,
    examples,
)
from matcaps.training.release.runtime import Graph

Graphs = dict[tuple[Preset, str], onnx.ModelProto]
"""By preset and implementation."""


@dataclass(frozen=True)
class Time:
    """The time per image."""

    preset: Preset
    device: str
    threads: int | None
    """None on a GPU."""
    step: Step
    implementation: str
    batch: int
    """The wanted batch."""
    measured_batch: int
    """The measured batch: smaller if the wanted one does not fit."""
    per_image: Spread
    ratio: float
    """The textbook's time per image divided by this one, on the same device and threads."""


def measure_times(
    presets: tuple[Preset, ...],
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    limit_s: float,
    graphs: Graphs,
) -> Iterator[Time]:
    """Time every implementation; implementations and batches are interleaved.

    An implementation is measured once for all wanted batches above its largest.
    """
    cells = {
        (preset, device, number, step): _batches(device, step, batches)
        for preset in presets
        for device, number in places(threads)
        for step in STEPS
    }
    runs = (rounds + 1) * sum(len(of_name) for cell in cells.values() for of_name in cell.values())
    with tqdm(desc="times", unit="run", total=runs) as progress:
        for (preset, device, number, step), of_name in cells.items():
            progress.set_postfix_str(f"{preset}, {device}, {step}" + (f", {number} threads" if number else ""))
            actions = _actions(preset, device, number, step, of_name, graphs)
            seconds = interleave(actions, rounds, limit_s, progress)
            spreads = {key: Spread.of(found, images=key[1]) for key, found in seconds.items()}
            for name in of_name:
                for batch in batches:
                    measured = IMPLEMENTATIONS[name].batch(step, batch)
                    yardstick = spreads[YARDSTICK, IMPLEMENTATIONS[YARDSTICK].batch(step, batch)]
                    spread = spreads[name, measured]
                    ratio = yardstick.median_ms / spread.median_ms
                    yield Time(preset, device, number, step, name, batch, measured, spread, ratio)


def _batches(device: str, step: Step, batches: tuple[int, ...]) -> dict[str, list[int]]:
    """The measured batches of each implementation."""
    return {
        name: list(dict.fromkeys(implementation.batch(step, batch) for batch in batches))
        for name, implementation in IMPLEMENTATIONS.items()
        if step in implementation.steps and not (implementation.exported and device != "cpu")
    }


def _actions(
    preset: Preset, device: str, threads: int | None, step: Step, batches: dict[str, list[int]], graphs: Graphs
) -> dict[tuple[str, int], Callable[[], object]]:
    if threads:
        torch.set_num_threads(threads)
    actions: dict[tuple[str, int], Callable[[], object]] = {}
    for name, of_name in batches.items():
        if IMPLEMENTATIONS[name].exported:
            graph = Graph(graphs[preset, name], threads or 0)
            for batch in of_name:
                actions[name, batch] = partial(graph.run, examples(preset, batch)[0].numpy())
        else:
            network = build(preset, name, device)
            for batch in of_name:
                actions[name, batch] = action(network, step, *examples(preset, batch, device))
    return actions
