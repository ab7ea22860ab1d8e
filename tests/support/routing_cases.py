"""Random cases of routed layers, the implementations of routing, and comparisons of results."""

from dataclasses import dataclass, replace
from typing import Protocol

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.kernels.operator import fused_routing
from matcaps.model.routing.eager import em_routing
from matcaps.model.windows import Windows
from tests.support.reference import Reference, reference_routing, windows_by_definition

NAMES = ("poses", "activations", "weights", "beta_u", "beta_a")
MOST_VOTES = 160  # of one example: more would take the loops too long


@dataclass(frozen=True)
class Case:
    """A geometry, the constants of routing and a seed: all that a failing test has to print."""

    child_grid: tuple[int, int]
    kernel: tuple[int, int]
    stride: int
    child_types: int
    parent_types: int
    config: RoutingConfig
    coordinates: bool = False
    shared: bool = False
    scale: float = 1.0
    batch: int = 1
    seed: int = 0

    def windows(self, dtype: torch.dtype = torch.float64) -> Windows:
        """The windows, with random coordinates if the case has any."""
        positions = self.kernel[0] * self.kernel[1]
        generator = torch.Generator().manual_seed(self.seed)
        coordinates = torch.rand(positions, 2, generator=generator).to(dtype) if self.coordinates else None
        return Windows(self.child_grid, self.kernel, self.stride, coordinates)

    def inputs(self, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Poses, activations, weights and betas; the same numbers in every dtype."""
        generator = torch.Generator().manual_seed(self.seed)
        sites = self.child_grid[0] * self.child_grid[1]
        positions = 1 if self.shared else self.kernel[0] * self.kernel[1]
        poses = self.scale * torch.randn(self.batch, sites, self.child_types, 4, 4, generator=generator)
        activations = torch.rand(self.batch, sites, self.child_types, generator=generator)
        kind = torch.rand(activations.shape, generator=generator)
        activations = activations.masked_fill(kind < 0.1, 0.0).masked_fill(kind > 0.9, 1.0)
        noise = torch.randn(positions, self.child_types, self.parent_types, 4, 4, generator=generator)
        beta_u = 0.2 * torch.randn(self.parent_types, generator=generator)
        beta_a = torch.randn(self.parent_types, generator=generator)
        return [tensor.to(dtype) for tensor in (poses, activations, torch.eye(4) + 0.5 * noise, beta_u, beta_a)]


class Routing(Protocol):
    """An implementation: it maps poses, activations, weights and betas to all results."""

    def __call__(self, windows: Windows, config: RoutingConfig, *inputs: Tensor) -> Reference: ...


def route_by_torch(windows: Windows, config: RoutingConfig, *inputs: Tensor) -> Reference:
    """The implementation in plain PyTorch."""
    poses, activations, weights, beta_u, beta_a = inputs
    result = em_routing(poses, activations, weights, beta_u, beta_a, windows, config)
    assert result.assignments is not None
    return Reference(result.activation_logits, result.poses, result.assignments)


def route_by_kernel(windows: Windows, config: RoutingConfig, *inputs: Tensor) -> Reference:
    """The implementation by kernels, on the CPU."""
    poses, activations, weights, beta_u, beta_a = inputs
    result = fused_routing(poses, activations, weights, beta_u, beta_a, windows, config)
    assert result.assignments is not None
    return Reference(result.activation_logits, result.poses, result.assignments)


def route_by_loops(case: Case, *inputs: Tensor) -> Reference:
    """The reference: loops, with the case's geometry and constants."""
    poses, activations, weights, beta_u, beta_a = inputs
    geometry = case.child_grid, case.kernel, case.stride
    coordinates = case.windows(poses.dtype).coordinates
    return reference_routing(poses, activations, weights, beta_u, beta_a, *geometry, case.config, coordinates)


def routed(
    routing: Routing | None, case: Case, dtype: torch.dtype, *, nudge: float = 0.0, nudge_seed: int = 2
) -> dict[str, Tensor]:
    """Outputs of a routing, or of the loops, and the gradients of a fixed mixture of them, by name.

    Before that, ``nudge`` changes each input by this part of itself, up or down at random.
    """
    generator = torch.Generator().manual_seed(case.seed + nudge_seed)
    leaves = [
        (leaf * (1 + nudge * torch.randn(leaf.shape, generator=generator).sign())).requires_grad_()
        for leaf in case.inputs(dtype)
    ]
    result = routing(case.windows(dtype), case.config, *leaves) if routing else route_by_loops(case, *leaves)
    generator = torch.Generator().manual_seed(case.seed + 1)
    mixture = torch.zeros((), dtype=dtype)
    for part in result[:2]:
        mixture = mixture + (torch.randn(part.shape, generator=generator).to(dtype) * part).sum()
    gradients = torch.autograd.grad(mixture, leaves)
    values = dict(zip(("logits", "parent poses", "assignments"), result, strict=True))
    values |= {f"gradient of {name}": grad for name, grad in zip(NAMES, gradients, strict=True)}
    return {name: value.detach().double() for name, value in values.items()}


ROUTINGS: dict[str, Routing] = {"torch": route_by_torch, "kernel": route_by_kernel}


@st.composite
def cases(
    draw: st.DrawFn, *, temperatures: tuple[float, ...], floors: tuple[float, ...], scales: tuple[float, ...]
) -> Case:
    """Any small geometry, with as many types as the loops have time for."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    rows, columns = (min(6, extent + draw(st.integers(0, 3))) for extent in kernel)
    stride = draw(st.integers(1, 3))
    slots = len(windows_by_definition((rows, columns), kernel, stride)) * kernel[0] * kernel[1]
    child_types = draw(st.integers(1, max(1, min(5, MOST_VOTES // slots))))
    parent_types = draw(st.integers(1, max(1, min(5, MOST_VOTES // (slots * child_types)))))
    config = RoutingConfig(
        iterations=draw(st.integers(1, 5)),
        final_inverse_temperature=draw(st.sampled_from([1.0, 0.01])),
        mass=draw(st.sampled_from(["relative", "absolute"])),
        density_temperature=draw(st.sampled_from(temperatures)),
        variance_floor=draw(st.sampled_from(floors)),
        competition=draw(st.sampled_from(["parents", "positions"])),
    )
    return Case(
        (rows, columns),
        kernel,
        stride,
        child_types,
        parent_types,
        config,
        coordinates=draw(st.booleans()),
        shared=draw(st.booleans()),
        scale=draw(st.sampled_from(scales)),
        batch=draw(st.integers(1, 2)) if slots * child_types * parent_types <= MOST_VOTES // 2 else 1,
        seed=draw(st.integers(0, 2**20)),
    )


def largest_error(found: dict[str, Tensor], truth: dict[str, Tensor], *, gradient: bool, unit: float = 0.0) -> float:
    """The largest error of any output, or of any gradient, relative to the largest element of its tensor.

    A largest element below ``unit``, or below a thousandth of the largest tensor's, counts as that large: a gradient
    that consists of rounding errors has no relative error.
    """
    names = [name for name in truth if name.startswith("gradient") == gradient]
    sizes = {name: float(truth[name].abs().max()) for name in names}
    least = max(unit, 1e-3 * max(sizes.values()), 1e-30)
    return max(float((found[name] - truth[name]).abs().max()) / max(sizes[name], least) for name in names)


SOFT = RoutingConfig()
HARD = RoutingConfig(density_temperature=1.0, mass="absolute")
BY_TYPE = RoutingConfig(density_temperature=4.0, competition="positions")
CONVOLUTION = Case((6, 5), (3, 2), 2, 3, 4, SOFT, batch=2, seed=1)
CLASSES = Case((3, 4), (3, 4), 1, 3, 5, SOFT, coordinates=True, shared=True, batch=2, seed=2)
LAYERS = pytest.mark.parametrize(
    "case",
    [
        pytest.param(replace(case, config=config), id=f"{layer}-{name}")
        for layer, case in (("convolution", CONVOLUTION), ("classes", CLASSES))
        for name, config in (("soft", SOFT), ("hard", HARD), ("by-type", BY_TYPE))
    ],
)


def close(found: Tensor, expected: Tensor) -> bool:
    """Whether two float64 results differ by rounding alone."""
    return torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def gradients(result: Reference, leaves: list[Tensor]) -> list[Tensor]:
    """Gradients of a weighted sum of activations and poses; no two elements have the same weight."""
    logits, poses = result.activation_logits, result.poses
    mixture = (logits.sigmoid() * torch.linspace(1, 2, logits.numel(), dtype=logits.dtype).view_as(logits)).sum()
    mixture = mixture + (poses * torch.linspace(1, 2, poses.numel(), dtype=poses.dtype).view_as(poses)).sum()
    return list(torch.autograd.grad(mixture, leaves))
