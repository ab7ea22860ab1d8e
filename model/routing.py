"""EM routing, the paper's Procedure 1, as batched matrix products in log space.

Votes are laid out as [batch, parent_site, parent_type, child, 16], so that every sum over children or components
is one batched matrix product on contiguous rows. Nothing outside this file ever sees a vote.

The paper's symbols: i a child, j a parent, h one of 16 pose components; M_i poses, a_i activations, W_ij weights,
v_ij votes, R_ij assignments, r_ij = R_ij a_i, μ_j and σ²_j the parent's Gaussian, β_u and β_a, λ.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from model.config import RoutingConfig
from model.windows import Windows

SMALLEST_ACTIVATION = 1e-20  # a child that is off altogether still has a logarithm
UNREACHABLE = -1e30  # log-density of a parent that is not there; finite, so that it has a gradient: zero


class Routed(NamedTuple):
    """The parents of a routed layer. Their activations are ``activation_logits.sigmoid()``."""

    activation_logits: Float[Tensor, "batch parent_site parent_type"]
    poses: Float[Tensor, "batch parent_site parent_type 4 4"]
    assignments: Float[Tensor, "batch parent_site position child_type parent_type"] | None
    """R_ij that the last M-step used, if asked for; over all parents of a child they sum to 1."""


def em_routing(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Windows,
    config: RoutingConfig,
) -> Routed:
    """Fit each parent's Gaussian to the votes of the children in its window (paper, section 3, Procedure 1).

    Gradients flow through every iteration. Weights of one position are shared by all positions.

    Raises:
        ValueError: The children do not fill the windows' grid.
    """
    child_sites, child_types = activations.shape[1:]
    parent_types = weights.shape[2]
    if child_sites != windows.child_sites:
        raise ValueError(f"the windows lie over {windows.child_sites} child sites, found {child_sites}")
    parent_sites, positions = windows.parent_sites, windows.positions
    children = positions * child_types  # of one window
    seen = windows.seen.flatten()

    votes = _votes(poses.index_select(1, seen), weights, windows)
    log_activations = activations.clamp_min(SMALLEST_ACTIVATION).log()
    log_activations = log_activations.index_select(1, seen).view(-1, parent_sites, 1, children)

    # Before the first E-step a child is shared evenly by all parents that it votes for, whatever their type.
    parents_of_child = windows.windows_of_child.index_select(0, seen) * parent_types
    even = -parents_of_child.to(poses.dtype).log().view(parent_sites, positions, 1)
    log_masses = even.expand(-1, -1, child_types).reshape(1, parent_sites, 1, children) + log_activations
    log_assignments = torch.cat([log_masses - log_activations] * parent_types, 2)

    mass_unit = 1.0
    if config.mass == "relative":
        mass_unit = windows.mass_unit(child_types, parent_types)

    for iteration in range(config.iterations):
        # M-step: μ, σ² and activation of every parent from the votes assigned to it
        mass = log_masses.logsumexp(-1).exp() / mass_unit  # Σ_i r_ij
        weighing = log_masses.softmax(-1).unsqueeze(3)  # r_ij / Σ_i r_ij
        mean = weighing @ votes  # μ_j
        # In two passes: E[v²] − μ² would cancel where a mean is far larger than the deviation around it.
        offsets = votes - mean
        squares = offsets * offsets
        variance = (weighing @ squares).clamp_min(config.variance_floor)  # σ²_j
        log_deviation = 0.5 * variance.log().sum((-2, -1))  # Σ_h log σ_jh
        cost = (16.0 * beta_u + log_deviation) * mass
        logits = config.inverse_temperature(iteration) * (beta_a - cost)
        if iteration == config.iterations - 1:
            break

        # E-step: how likely each parent finds each vote, against all other parents of the same child
        distance = (squares @ (1.0 / variance).transpose(-2, -1)).squeeze(-1)  # Σ_h (v_ijh − μ_jh)² / σ²_jh
        log_density = (-0.5 * distance - log_deviation.unsqueeze(-1)) / config.density_temperature
        scores = log_density - functional.softplus(-logits, threshold=50.0).unsqueeze(-1)  # + log a_j
        log_assignments = scores - _normaliser(scores, child_types, windows)
        log_masses = log_assignments + log_activations  # log r_ij

    return Routed(
        logits,
        mean.unflatten(-1, (4, 4)).squeeze(3),
        log_assignments.exp().unflatten(3, (positions, child_types)).permute(0, 1, 3, 4, 2),
    )


def _votes(
    poses: Float[Tensor, "batch slot child_type 4 4"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    windows: Windows,
) -> Float[Tensor, "batch parent_site parent_type child 16"]:
    """v_ij = M_i W_ij for each child of each window, plus the coordinates of its position, if there are any."""
    positions, child_types, parent_types = windows.positions, *weights.shape[1:3]
    children = positions * child_types
    # W ⊗ I₄: with 16×16 weights a child's votes for all its parents are one product with 16 contiguous outputs each
    identity = torch.eye(4, dtype=weights.dtype, device=weights.device)
    expanded = weights.permute(0, 1, 3, 2, 4)[:, :, None, :, :, None, :] * identity[:, None, None, :, None]
    expanded = expanded.reshape(-1, child_types, 16, parent_types * 16)
    expanded = expanded.expand(positions, -1, -1, -1).reshape(children, 16, parent_types * 16)
    votes = poses.reshape(-1, children, 16).transpose(0, 1) @ expanded
    votes = votes.view(children, -1, windows.parent_sites, parent_types, 16).permute(1, 2, 3, 0, 4).contiguous()
    if windows.coordinates is None:
        return votes
    row, column = windows.coordinates.to(votes.dtype).repeat_interleave(child_types, 0).unbind(-1)
    zero = torch.zeros_like(row)
    top = torch.stack([zero, zero, zero, row, zero, zero, zero, column], -1)  # elements [0, 3] and [1, 3]
    return votes + functional.pad(top, (0, 8))


def _normaliser(
    scores: Float[Tensor, "batch parent_site parent_type child"], child_types: int, windows: Windows
) -> Float[Tensor, "batch parent_site 1 child"]:
    """log Σ exp(scores) over all parents of a child: every type in every window that reaches it."""
    slots = windows.parent_sites * windows.positions
    in_window = scores.logsumexp(2).view(-1, slots, child_types)
    with_nowhere = functional.pad(in_window, (0, 0, 0, 1), value=UNREACHABLE)
    by_child = with_nowhere.index_select(1, windows.slots.flatten())
    total = by_child.view(-1, windows.child_sites, windows.slots.shape[1], child_types).logsumexp(2)
    return total.index_select(1, windows.seen.flatten()).view(
        -1, windows.parent_sites, 1, windows.positions * child_types
    )
