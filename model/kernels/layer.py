"""What the fused kernels are told of a layer besides its numbers, and the shapes of what they keep for the backward."""

from typing import NamedTuple

import torch
from torch import Tensor

ROWS_OF_A_GAUSSIAN = 36
"""What is kept of a parent in each iteration: 16 means μ, 16 variances σ² before their floor, the mass Σ_i r_ij,
the reciprocal of the same sum in the parent's own unit, that unit, and the activation logit."""


class Layer(NamedTuple):
    """The geometry of a routed layer and the constants of its routing; tensors as ``Windows`` has them.

    Symbols of the shapes below: B images, S child sites, P parent sites, K positions of a window, I child types,
    J parent types, C = K·I children of a window, L parent types padded (``padded``).
    """

    seen: Tensor
    slots: Tensor
    windows_of_child: Tensor
    coordinates: Tensor | None
    iterations: int
    final_inverse_temperature: float
    mass_unit: float
    """What masses are divided by in the cost: 1 where they are absolute."""
    density_temperature: float
    variance_floor: float

    def inverse_temperature(self, iteration: int) -> float:
        """λ of one iteration, counted from 0."""
        return self.final_inverse_temperature * (1.0 - 0.95 ** (iteration + 1))


def padded(parent_types: int) -> int:
    """Parent types with those that fill up the last vector: the kernels' innermost, contiguous axis."""
    block = 4 if parent_types <= 4 else 8 if parent_types <= 8 else 16
    return -(-parent_types // block) * block


class Results(NamedTuple):
    """What a forward pass leaves behind.

    ``assignments`` is empty unless asked for, and the last two are empty unless they are kept for a backward.
    """

    logits: Tensor
    """[B, P, J]: before the logistic."""
    means: Tensor
    """[B, P, J, 4, 4]"""
    assignments: Tensor
    """[B, P, K, I, J]: R_ij that the last M-step used."""
    weighings: Tensor
    """[T − 1, B, P, C, L]: r_ij of the iterations after the first, each parent's in a unit of its own (on a GPU their
    logarithms); what the forward kernel leaves here is for the backward kernel of the same device alone."""
    gaussians: Tensor
    """[T, B, P, 36, L]: see ``ROWS_OF_A_GAUSSIAN``."""


def empty_results(
    poses: Tensor, weights: Tensor, seen: Tensor, iterations: int, *, assignments: bool, keep: bool
) -> Results:
    """Unfilled tensors of the right shapes; poses are [B, S, I, 4, 4], weights [K or 1, I, J, 4, 4]."""
    batch, _, child_types = poses.shape[:3]
    parent_types = weights.shape[2]
    sites, positions = seen.shape
    lanes, children = padded(parent_types), positions * child_types
    kept = (iterations - 1, batch, sites, children, lanes) if keep else (0,)
    gaussians = (iterations, batch, sites, ROWS_OF_A_GAUSSIAN, lanes) if keep else (0,)
    assigned = (batch, sites, positions, child_types, parent_types) if assignments else (0,)
    return Results(
        poses.new_empty(batch, sites, parent_types),
        poses.new_empty(batch, sites, parent_types, 4, 4),
        poses.new_empty(assigned),
        poses.new_empty(kept),
        poses.new_empty(gaussians),
    )


class Gradients(NamedTuple):
    """What a backward pass answers, in the shapes of the inputs."""

    poses: Tensor
    activations: Tensor
    weights: Tensor
    beta_u: Tensor
    beta_a: Tensor


def empty_gradients(poses: Tensor, weights: Tensor) -> Gradients:
    """Unfilled tensors of the right shapes."""
    parent_types = weights.shape[2]
    return Gradients(
        torch.empty_like(poses),
        poses.new_empty(poses.shape[:3]),
        torch.empty_like(weights),
        poses.new_empty(parent_types),
        poses.new_empty(parent_types),
    )
