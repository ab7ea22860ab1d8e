"""EM routing in plain PyTorch: the paper's Procedure 1 as batched matrix products in log space. This form is exported.

Votes are laid out as [row, parent_type, 16, child]; a row is one parent site of one image. Children are the innermost
axis, so every sum over children or over components is a product with a contiguous matrix. Votes are handled in blocks
of a few parent types, which fit a processor's cache. No other file sees votes.

The paper's symbols: i a child, j a parent, h one of 16 pose components; M_i poses, a_i activations, W_ij weights,
v_ij votes, R_ij assignments, r_ij = R_ij a_i, μ_j and σ²_j the parent's Gaussian, β_u and β_a, λ.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from matcaps.kernels.windows import even_mass
from matcaps.model.config import RoutingConfig
from matcaps.model.windows import Geometry

SMALLEST_ACTIVATION = 1e-20  # keeps the logarithm of an inactive child finite
UNREACHABLE = -1e30  # score of a window that does not exist
VOTES_AT_ONCE = 12_000  # of one image: those of 8 images fill 6 MB


class Routed(NamedTuple):
    """The parents of a routed layer. Their activations are ``activation_logits.sigmoid()``."""

    activation_logits: Float[Tensor, "batch parent_site parent_type"]
    poses: Float[Tensor, "batch parent_site parent_type 4 4"]
    assignments: Float[Tensor, "batch parent_site position child_type parent_type"] | None
    """R_ij of the last M-step, if asked for; they sum to 1 over all parents that compete for a child."""


def em_routing(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Geometry,
    config: RoutingConfig,
    *,
    votes_at_once: int = VOTES_AT_ONCE,
) -> Routed:
    """Fit each parent's Gaussian to the votes of the children in its window (paper, section 3, Procedure 1).

    Gradients flow through every iteration.

    Args:
        poses: M_i of the children.
        activations: a_i of the children, in [0, 1].
        weights: W_ij of each position of a window, or of one position for all.
        beta_u: β_u, cost of a parent's mass for each component.
        beta_a: β_a, what an active parent saves.
        windows: Which children each parent sees.
        config: The constants of the procedure.
        votes_at_once: Most votes of an image in a block, for speed; results do not depend on it.

    Raises:
        ValueError: The children do not fill the windows' grid.
    """
    child_sites, child_types = activations.shape[1:]
    parent_types = weights.shape[2]
    if child_sites != windows.child_sites:
        raise ValueError(f"the windows need {windows.child_sites} child sites, found {child_sites}")
    parent_sites, positions = windows.parent_sites, windows.positions
    children = positions * child_types  # of one window
    seen = windows.seen.flatten()

    blocks = -(-parent_types // max(1, votes_at_once // (parent_sites * children)))
    parents_at_once = -(-parent_types // blocks)
    all_votes = _votes(poses.index_select(1, seen), weights, windows, parents_at_once)

    log_activations = activations.clamp_min(SMALLEST_ACTIVATION).log()
    log_activations = log_activations.index_select(1, seen).view(-1, parent_sites, positions, child_types)
    # R_ij = 1 / parents that compete for the child, in all windows that see it
    competing_types = config.competing_types(parent_types)
    competitors = windows.windows_of_child.index_select(0, seen) * competing_types
    log_masses = log_activations - competitors.to(poses.dtype).log().view(parent_sites, positions, 1)
    log_activations = _with_spare_row(log_activations.view(-1, 1, children))
    log_masses = _with_spare_row(log_masses.view(-1, 1, children))
    log_assignments = torch.cat([log_masses - log_activations] * parent_types, 1)

    mass_unit = 1.0
    if config.mass == "relative":
        mass_unit = even_mass(windows, child_types, competing_types)

    for iteration in range(config.iterations):
        last = iteration == config.iterations - 1

        # M-step: r_ij = R_ij a_i
        mass = log_masses.exp().sum(-1) / mass_unit  # S_j = Σ_i r_ij
        weighing = log_masses.softmax(-1).unsqueeze(-1)  # r_ij / S_j
        shares = weighing.split(parents_at_once, 1) if iteration else [weighing] * len(all_votes)
        means, variances, distances = [], [], []
        for votes, share in zip(all_votes, shares, strict=True):
            mean = votes @ share  # μ_jh = Σ_i r_ij v_ijh / S_j
            # In two passes: E[v²] − μ² would cancel where a mean is far larger than the deviation around it.
            offsets = votes - mean
            squares = offsets * offsets
            variance = (squares @ share).clamp_min(config.variance_floor)  # σ²_jh = Σ_i r_ij (v_ijh − μ_jh)² / S_j
            means.append(mean)
            variances.append(variance)
            if not last:  # for the E-step: Σ_h (v_ijh − μ_jh)² / σ²_jh
                distances.append((1.0 / variance).view(-1, votes.shape[1], 1, 16) @ squares)
        log_deviation = 0.5 * torch.cat(variances, 1).log().sum((-2, -1))  # Σ_h log σ_jh
        # a_j = sigmoid(λ (β_a − cost_j)),  cost_j = Σ_h (β_u + log σ_jh) S_j
        cost = (16.0 * beta_u + log_deviation) * mass
        logits = config.inverse_temperature(iteration) * (beta_a - cost)
        if last:
            break

        # E-step: R_ij = a_j p_ij / Σ_j a_j p_ij,  p_ij = Π_h N(v_ijh; μ_jh, σ²_jh)^(1 / temperature)
        log_factors = -log_deviation / config.density_temperature - functional.softplus(-logits, threshold=50.0)
        # The order of terms matters: onnxruntime computes a sum's last term first. This way it computes a block's
        # distances with its variances. The other way it keeps the squares of all blocks in memory.
        log_factors = log_factors.unsqueeze(-1)
        scores = torch.cat(distances, 1).squeeze(2) * (-0.5 / config.density_temperature) + log_factors
        if config.competition == "positions":
            log_assignments = _among_positions(scores, windows, child_types)
            log_masses = log_assignments + log_activations  # log r_ij
        else:
            highest = _highest(scores.detach().amax(1), windows, child_types)
            scores = scores - highest  # against overflow; cancels in R_ij
            log_total = _total(scores.exp().sum(1), windows, child_types).log()
            log_assignments = scores - log_total
            log_masses = scores + (log_activations - log_total)

    return Routed(
        logits[:-1].unflatten(0, (-1, parent_sites)),
        torch.cat(means, 1)[:-1].reshape(-1, parent_sites, parent_types, 4, 4),
        log_assignments[:-1].exp().view(-1, parent_sites, parent_types, positions, child_types).permute(0, 1, 3, 4, 2),
    )


def _votes(
    poses: Float[Tensor, "batch slot child_type 4 4"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    windows: Geometry,
    parents_at_once: int,
) -> list[Float[Tensor, "row _ 16 child"]]:
    """v_ij = M_i W_ij for each child of each window, plus the coordinates of its position, if there are any."""
    positions, child_types, parent_types = windows.positions, *weights.shape[1:3]
    children = positions * child_types
    # W ⊗ I₄: with 16×16 weights, the votes of a child in all rows are one product
    identity = torch.eye(4, dtype=weights.dtype, device=weights.device)
    expanded = weights.permute(0, 1, 3, 2, 4)[:, :, None, :, :, None, :] * identity[:, None, None, :, None]
    expanded = expanded.reshape(-1, child_types, 16, parent_types * 16)
    expanded = expanded.expand(positions, -1, -1, -1).reshape(children, 16, parent_types * 16)
    # The spare row comes after the transpose. Otherwise onnxruntime fuses the transpose into the product: much slower.
    rows = _with_spare_row(poses.reshape(-1, children, 16).transpose(0, 1), 1)
    found = []
    for block in expanded.split(16 * parents_at_once, 2):
        by_child = (rows @ block).flatten(1)
        found.append(by_child.t().contiguous().view(-1, block.shape[2] // 16, 16, children))
    if windows.coordinates is None:
        return found
    row, column = windows.coordinates.to(poses.dtype).repeat_interleave(child_types, 0).unbind(-1)
    zero = torch.zeros_like(row)
    top = torch.stack([zero, zero, zero, row, zero, zero, zero, column])  # elements [0, 3] and [1, 3]
    added = functional.pad(top, (0, 0, 0, 8))
    return [votes + added for votes in found]


def _with_spare_row(rows: Float[Tensor, "..."], axis: int = 0) -> Float[Tensor, "..."]:
    """Append one row of zeros, which is no parent.

    Rows are often a multiple of a large power of two. Votes are transposed from [child, row …] to [row …, child]. At
    such strides all children of a row would share a few places of a cache, which is two to five times as slow.
    """
    return functional.pad(rows, (0, 0) * (rows.dim() - 1 - axis) + (0, 1))


def _among_positions(
    scores: Float[Tensor, "row parent_type child"], windows: Geometry, child_types: int
) -> Float[Tensor, "row parent_type child"]:
    """log R_ij where the parents of each type compete by themselves: a child is then one child for each type."""
    parent_types, positions = scores.shape[1], windows.positions
    apart = parent_types * child_types
    scores = scores.unflatten(2, (positions, child_types)).transpose(1, 2).reshape(-1, 1, positions * apart)
    scores = scores - _highest(scores.detach().squeeze(1), windows, apart)
    log_assignments = scores - _total(scores.exp().squeeze(1), windows, apart).log()
    by_position = log_assignments.view(-1, positions, parent_types, child_types)
    return by_position.transpose(1, 2).reshape(-1, parent_types, positions * child_types)


def _highest(scores: Float[Tensor, "row child"], windows: Geometry, child_types: int) -> Float[Tensor, "row 1 child"]:
    """The highest score of each child in all windows that reach it, from its highest in each window."""
    return _by_window(_by_child(scores, windows, child_types, UNREACHABLE).amax(2), scores, windows)


def _total(
    likelihoods: Float[Tensor, "row child"], windows: Geometry, child_types: int
) -> Float[Tensor, "row 1 child"]:
    """The sum for each child over all windows that reach it, from its sum in each window."""
    return _by_window(_by_child(likelihoods, windows, child_types, 0.0).sum(2), likelihoods, windows)


def _by_child(
    found: Float[Tensor, "row child"], windows: Geometry, child_types: int, nowhere: float
) -> Float[Tensor, "batch child_site window child_type"]:
    """Values of each window, gathered by child; ``nowhere`` for windows that do not exist."""
    in_window = found[:-1].reshape(-1, windows.parent_sites * windows.positions, child_types)
    with_nowhere = functional.pad(in_window, (0, 0, 0, 1), value=nowhere)
    by_child = with_nowhere.index_select(1, windows.slots.flatten())
    return by_child.view(-1, windows.child_sites, windows.slots.shape[1], child_types)


def _by_window(
    found: Float[Tensor, "batch child_site child_type"], spare: Float[Tensor, "row child"], windows: Geometry
) -> Float[Tensor, "row 1 child"]:
    """Values of each child, copied to each window that sees it; the spare row keeps its own."""
    by_window = found.index_select(1, windows.seen.flatten()).view(-1, spare.shape[1])
    return torch.cat([by_window, spare[-1:]]).unsqueeze(1)
