"""Arithmetic and memory traffic of routing, beside what the machine reaches.

Both are counted from the procedure, not by the processor: a kernel computes votes again in every pass, and stores
log-densities in an E-step. The ceilings are a large matrix product and a large copy, interleaved with the routing.
All are multiply-adds; FLOP are twice as many. On a GPU the ceilings are measured without TF32; this was never run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.machine import places
from benchmarks.rounds import Spread, interleave
from benchmarks.routing.implementations import DEFAULT, Preset, build, examples
from matcaps.model.capsules import Capsules, RoutedCaps

BATCH = 8
MULTIPLY_ADDS_OF_A_VOTE = 64
MULTIPLY_ADDS_OF_SUMS = 32  # Σ r o and Σ r o², or Σ o²/σ², of a vote's 16 offsets o
MATRIX = {"cpu": 1536, "cuda": 8192}
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**30}


@dataclass(frozen=True)
class Rate:
    """The rates of the three routed layers in a forward pass of the default implementation."""

    preset: Preset
    device: str
    threads: int | None
    batch: int
    per_image: Spread
    pairs: int
    """Pairs of a child and a parent in an image."""
    multiply_adds: int
    """Of the votes of an image: 64 for each pair in each M-step and E-step."""
    multiply_adds_with_sums: int
    """Of an image, with the two sums over each component of a vote in an M-step or an E-step."""
    bytes_moved: int
    """Of an image: children and weights are read in each step, log-densities written once and read twice."""
    multiply_adds_per_s: float
    multiply_adds_with_sums_per_s: float
    matrix_product_multiply_adds_per_s: float
    """The ceiling: a square float32 matrix product at its fastest."""
    bytes_per_s: float
    copy_bytes_per_s: float
    """The ceiling: a copy at its fastest, bytes read and bytes written."""


def measure_rates(presets: tuple[Preset, ...], threads: tuple[int, ...], rounds: int, limit_s: float) -> Iterator[Rate]:
    """Time the routed layers on their inputs in the network."""
    runs = len(presets) * len(places(threads)) * 3 * (rounds + 1)
    with tqdm(desc="rates", unit="run", total=runs) as progress:
        for preset in presets:
            for device, number in places(threads):
                if number:
                    torch.set_num_threads(number)
                yield _rate(preset, device, number, rounds, limit_s, progress)


def pairs(layer: RoutedCaps) -> int:
    """Pairs of a child and a parent that it votes for, in one image.

    >>> from matcaps.model.windows import Windows
    >>> from matcaps.model import RoutingConfig
    >>> pairs(RoutedCaps(32, 32, Windows((14, 14), (3, 3), 2), RoutingConfig()))
    331776
    """
    return layer.windows.parent_sites * layer.windows.positions * layer.weights.shape[1] * layer.weights.shape[2]


def _rate(preset: Preset, device: str, threads: int | None, rounds: int, limit_s: float, progress: "tqdm[Any]") -> Rate:
    network = build(preset, DEFAULT, device).eval()
    layers = [network.conv_caps_1, network.conv_caps_2, network.class_caps]
    with torch.no_grad():
        found = network(examples(preset, BATCH, device)[0])
    inputs: list[Capsules] = [found.primary_caps, found.conv_caps_1, found.conv_caps_2]
    matrix = torch.rand(MATRIX[device], MATRIX[device], device=device)
    product = torch.empty_like(matrix)
    source = torch.zeros(COPIED_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)

    def route() -> None:
        for layer, children in zip(layers, inputs, strict=True):
            layer(children)

    acts: dict[str, Callable[[], object]] = {
        "route": route,
        "product": lambda: torch.mm(matrix, matrix, out=product),
        "copy": lambda: target.copy_(source),
    }
    with torch.no_grad():
        seconds = interleave({name: _finished(act, device) for name, act in acts.items()}, rounds, limit_s, progress)

    steps = 2 * network.config.routing.iterations - 1
    number = sum(map(pairs, layers))
    weights = sum(layer.weights.numel() for layer in layers)
    children_ = sum(capsules.poses.numel() + capsules.activations.numel() for capsules in inputs) // BATCH
    parents = sum(layer.windows.parent_sites * layer.weights.shape[2] * 17 for layer in layers)
    moved = 4 * (steps * (children_ + weights / BATCH) + 3 * (steps // 2) * number + parents)
    per_image = Spread.of(seconds["route"], images=BATCH)
    adds, summed = MULTIPLY_ADDS_OF_A_VOTE * steps, (MULTIPLY_ADDS_OF_A_VOTE + MULTIPLY_ADDS_OF_SUMS) * steps
    per_s = 1e3 / per_image.median_ms
    return Rate(
        preset,
        device,
        threads,
        BATCH,
        per_image,
        number,
        adds * number,
        summed * number,
        int(moved),
        adds * number * per_s,
        summed * number * per_s,
        MATRIX[device] ** 3 / min(seconds["product"]),
        moved * per_s,
        2 * COPIED_BYTES[device] / min(seconds["copy"]),
    )


def _finished(act: Callable[[], object], device: str) -> Callable[[], None]:
    def finish() -> None:
        act()
        if device == "cuda":
            torch.cuda.synchronize()

    return finish
