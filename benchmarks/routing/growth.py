"""The time of one routed layer by capsule types, by grid and by routing iterations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from tqdm import tqdm

from benchmarks.machine import devices
from benchmarks.rounds import Spread, interleave
from benchmarks.routing.implementations import STEPS, Step
from benchmarks.routing.rates import pairs
from matcaps.model import RoutingConfig
from matcaps.model.capsules import Capsules, RoutedCaps
from matcaps.model.windows import Windows

Axis = Literal["types", "grid", "iterations"]
AXES: dict[Axis, tuple[int, ...]] = {"types": (8, 16, 32, 64), "grid": (8, 14, 20), "iterations": (1, 2, 3, 4, 5)}
BASE: dict[Axis, int] = {"types": 32, "grid": 14, "iterations": 3}
"""ConvCaps1 of the large preset: 3×3 windows with stride 2, and as many parent types as child types."""
BATCH = 8


@dataclass(frozen=True)
class Growth:
    """The time of a layer that differs from ConvCaps1 in one number."""

    axis: Axis
    value: int
    step: Step
    device: str
    threads: int | None
    batch: int
    pairs: int
    """Pairs of a child and a parent in an image, which each M-step and E-step reads."""
    per_image: Spread


def measure_growth(threads: int, rounds: int, limit_s: float) -> Iterator[Growth]:
    """Time the layer with the default implementation, on a GPU if there is one."""
    device = devices()[-1]
    torch.set_num_threads(threads)
    points = [(axis, value, tuple({**BASE, axis: value}.values())) for axis, values in AXES.items() for value in values]
    layers = {sizes: _layer(*sizes).to(device) for _, _, sizes in points}
    actions = {(sizes, step): _action(layer, step, device) for sizes, layer in layers.items() for step in STEPS}
    with tqdm(desc="growth", unit="run", total=len(actions) * (rounds + 1)) as progress:
        seconds = interleave(actions, rounds, limit_s, progress)
    for axis, value, sizes in points:
        for step in STEPS:
            spread = Spread.of(seconds[sizes, step], images=BATCH)
            number = None if device == "cuda" else threads
            yield Growth(axis, value, step, device, number, BATCH, pairs(layers[sizes]), spread)


def _layer(types: int, grid: int, iterations: int) -> RoutedCaps:
    torch.manual_seed(0)
    return RoutedCaps(types, types, Windows((grid, grid), (3, 3), 2), RoutingConfig(iterations=iterations))


def _action(layer: RoutedCaps, step: Step, device: str) -> Callable[[], None]:
    sites, types = layer.windows.child_sites, layer.weights.shape[1]
    training = step == "training"
    poses = torch.randn(BATCH, sites, types, 4, 4, device=device, requires_grad=training)
    activations = torch.rand(BATCH, sites, types, device=device, requires_grad=training)

    def act() -> None:
        with torch.set_grad_enabled(training):
            routed = layer(Capsules(activations, poses))
        if training:
            inputs = [poses, activations, *layer.parameters()]
            torch.autograd.grad(routed.activation_logits.sum() + routed.poses.square().sum(), inputs)
        if device == "cuda":
            torch.cuda.synchronize()

    return act
