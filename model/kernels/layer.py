"""Inputs and outputs of the kernels, by name, with their shapes.

Symbols of the shapes: B images, S child sites, P parent sites, K positions of a window, I child types, J parent types,
C = K·I children of a window, T iterations, L lanes (``padded`` parent types).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from matcaps.kernels.library import padded
from matcaps.kernels.windows import even_mass
from matcaps.model.config import RoutingConfig
from matcaps.model.windows import Geometry

ROWS_OF_A_GAUSSIAN = 36
"""Numbers kept of a parent in each iteration: 16 means μ, 16 variances σ² before their floor, the mass Σ_i r_ij, the
reciprocal of that sum in the parent's own unit, that unit, and the activation logit."""


class Inputs(NamedTuple):
    """The tensors that a layer routes and has gradients for: contiguous, on one device and of one float type."""

    poses: Tensor
    """[B, S, I, 4, 4]"""
    activations: Tensor
    """[B, S, I]"""
    weights: Tensor
    """[K or 1, I, J, 4, 4]"""
    beta_u: Tensor
    """[J]"""
    beta_a: Tensor
    """[J]"""


class Layer(NamedTuple):
    """The geometry of a routed layer, as tables of ``Windows``, and the constants of its routing."""

    seen: Tensor
    """[P, K]: the child site at each position of each window."""
    slots: Tensor
    """[S, windows at most]: the slots that show a child."""
    windows_of_child: Tensor
    """[S]: how many windows reach each child site."""
    coordinates: Tensor | None
    """[K, 2] in the inputs' float type: added to the votes of each position."""
    iterations: int
    final_inverse_temperature: float
    mass_unit: float
    """Masses are divided by this in the cost: 1 if they are absolute."""
    density_temperature: float
    variance_floor: float
    competing_types: int
    """The parent types that a child is shared among: all J, or 1 if each type competes by itself."""

    @classmethod
    def of(cls, windows: Geometry, config: RoutingConfig, weights: Tensor) -> "Layer":
        """The layer with these windows, constants and weights [K or 1, I, J, 4, 4]."""
        coordinates = windows.coordinates
        child_types, parent_types = weights.shape[1:3]
        competing_types = config.competing_types(parent_types)
        return cls(
            seen=windows.seen.contiguous(),
            slots=windows.slots.contiguous(),
            windows_of_child=windows.windows_of_child.contiguous(),
            coordinates=None if coordinates is None else coordinates.to(weights.dtype).contiguous(),
            iterations=config.iterations,
            final_inverse_temperature=config.final_inverse_temperature,
            mass_unit=even_mass(windows, child_types, competing_types) if config.mass == "relative" else 1.0,
            density_temperature=config.density_temperature,
            variance_floor=config.variance_floor,
            competing_types=competing_types,
        )

    @property
    def tables(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The tensors among the fields, in their order."""
        return self.seen, self.slots, self.windows_of_child, self.coordinates

    @property
    def constants(self) -> tuple[int, float, float, float, float, int]:
        """The numbers among the fields, in their order: they follow the tables."""
        return (
            self.iterations,
            self.final_inverse_temperature,
            self.mass_unit,
            self.density_temperature,
            self.variance_floor,
            self.competing_types,
        )

    def inverse_temperature(self, iteration: int) -> float:
        """λ of one iteration, counted from 0."""
        return self.final_inverse_temperature * (1.0 - 0.95 ** (iteration + 1))


class Results(NamedTuple):
    """The output of a forward pass, and what it keeps for the backward pass.

    ``assignments`` is empty unless asked for. The last two are empty unless a backward pass follows.
    """

    logits: Tensor
    """[B, P, J]: of the parents' activations."""
    means: Tensor
    """[B, P, J, 4, 4]: the parents' poses."""
    assignments: Tensor
    """[B, P, K, I, J]: R_ij of the last M-step."""
    weighings: Tensor
    """[T − 1, B, P, C, L]: r_ij of the iterations after the first, each parent's in a unit of its own (on a GPU their
    logarithms)."""
    gaussians: Tensor
    """[T, B, P, 36, L]: see ``ROWS_OF_A_GAUSSIAN``."""

    @property
    def kept(self) -> "Kept":
        """The part that the backward pass needs."""
        return Kept(self.weighings, self.gaussians)


class Kept(NamedTuple):
    """What a forward pass keeps for the backward pass of the same device's kernels: two fields of ``Results``."""

    weighings: Tensor
    gaussians: Tensor


class ResultGradients(NamedTuple):
    """The loss's gradients with respect to the results, in their shapes; contiguous."""

    logits: Tensor
    means: Tensor
    assignments: Tensor | None
    """None stands for zeros."""


class InputGradients(NamedTuple):
    """The loss's gradients with respect to ``Inputs``, in their shapes."""

    poses: Tensor
    activations: Tensor
    weights: Tensor
    beta_u: Tensor
    beta_a: Tensor


def empty_results(inputs: Inputs, layer: Layer, *, assignments: bool, keep: bool) -> Results:
    """Unfilled results; ``assignments`` and ``keep`` (for a backward pass) decide which have elements."""
    new_empty = inputs.poses.new_empty
    batch, _, child_types = inputs.poses.shape[:3]
    parent_types = inputs.weights.shape[2]
    iterations, (sites, positions) = layer.iterations, layer.seen.shape
    lanes, children = padded(parent_types), positions * child_types
    return Results(
        logits=new_empty(batch, sites, parent_types),
        means=new_empty(batch, sites, parent_types, 4, 4),
        assignments=new_empty((batch, sites, positions, child_types, parent_types) if assignments else (0,)),
        weighings=new_empty((iterations - 1, batch, sites, children, lanes) if keep else (0,)),
        gaussians=new_empty((iterations, batch, sites, ROWS_OF_A_GAUSSIAN, lanes) if keep else (0,)),
    )


def empty_gradients(inputs: Inputs) -> InputGradients:
    """Unfilled gradients in the shapes of the inputs."""
    return InputGradients(*(torch.empty_like(tensor) for tensor in inputs))
