"""EM routing as loops over children and parents, straight from Procedure 1: slow, and for comparison alone.

It shares no code with the routing that it is held against: it works out for itself which parents a child votes
for, and leaves every sum to a loop. Only the 16 components of a pose are handled together.
"""

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from matcaps.model.config import RoutingConfig

Site = tuple[int, int]
Child = tuple[Site, int]  # site and type
Parent = tuple[Site, int]
Votes = dict[Parent, dict[Child, Tensor]]  # v_ij, [16] each
Scalars = dict[Parent, dict[Child, Tensor]]


class Reference(NamedTuple):
    """What the loops find; shapes as in ``matcaps.model.routing.eager.Routed``."""

    activation_logits: Tensor
    poses: Tensor
    assignments: Tensor


def windows_by_definition(child_grid: Site, kernel: Site, stride: int) -> dict[Site, list[Site]]:
    """The child sites that each parent site sees, row by row, from the definition of a strided window."""
    windows = {}
    for row, column in product(range(child_grid[0]), range(child_grid[1])):
        sites = [
            (row * stride + down, column * stride + right)
            for down, right in product(range(kernel[0]), range(kernel[1]))
        ]
        if all(down < child_grid[0] and right < child_grid[1] for down, right in sites):
            windows[row, column] = sites
    return windows


def reference_routing(
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    child_grid: Site,
    kernel: Site,
    stride: int,
    config: RoutingConfig,
    coordinates: Tensor | None = None,
) -> Reference:
    """Route as ``matcaps.model.routing.eager.em_routing`` does, in the dtype of ``poses``, for any geometry."""
    windows = windows_by_definition(child_grid, kernel, stride)
    results = [
        _route_one(*example, weights, beta_u, beta_a, windows, child_grid[1], config, coordinates)
        for example in zip(poses, activations, strict=True)
    ]
    return Reference(*(torch.stack(parts) for parts in zip(*results, strict=True)))


def _route_one(
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    windows: dict[Site, list[Site]],
    child_columns: int,
    config: RoutingConfig,
    coordinates: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    child_types, parent_types = weights.shape[1:3]
    parents = list(product(windows, range(parent_types)))

    votes: Votes = {}
    log_activation: dict[Child, Tensor] = {}
    parents_of: dict[Child, list[Parent]] = {}
    for parent in parents:
        site, parent_type = parent
        votes[parent] = {}
        for position, (row, column) in enumerate(windows[site]):
            for child_type in range(child_types):
                child = (row, column), child_type
                weight = weights[position if len(weights) > 1 else 0, child_type, parent_type]
                vote = poses[row * child_columns + column, child_type] @ weight
                if coordinates is not None:
                    addition = torch.zeros(4, 4, dtype=poses.dtype)
                    addition[0, 3], addition[1, 3] = coordinates[position]
                    vote = vote + addition
                votes[parent][child] = vote.flatten()
                activation = activations[row * child_columns + column, child_type]
                log_activation[child] = activation.clamp_min(1e-20).log()
                parents_of.setdefault(child, []).append(parent)

    mass_unit = len(parents_of) / len(parents) if config.mass == "relative" else 1.0

    log_assignments: Scalars = {parent: {} for parent in parents}  # log R_ij
    for child, its_parents in parents_of.items():
        for parent in its_parents:
            log_assignments[parent][child] = poses.new_tensor(-math.log(len(its_parents)))

    for iteration in range(config.iterations):
        inverse_temperature = config.final_inverse_temperature * (1 - 0.95 ** (iteration + 1))
        mean: dict[Parent, Tensor] = {}
        variance: dict[Parent, Tensor] = {}
        logit: dict[Parent, Tensor] = {}
        for parent in parents:
            # r_ij in units of the parent's largest: all of them may be too small for a float
            log_mass = {i: log_assignments[parent][i] + log_activation[i] for i in votes[parent]}
            log_unit = torch.stack(list(log_mass.values())).max().detach()
            mass = {i: (log_mass[i] - log_unit).exp() for i in votes[parent]}
            total = _sum([mass[i] for i in votes[parent]])
            mean[parent] = _sum([mass[i] * votes[parent][i] for i in votes[parent]]) / total
            squares = [mass[i] * (votes[parent][i] - mean[parent]) ** 2 for i in votes[parent]]
            variance[parent] = (_sum(squares) / total).clamp_min(config.variance_floor)
            costs = beta_u[parent[1]] + 0.5 * variance[parent].log()
            cost = costs.sum() * (total * log_unit.exp() / mass_unit)
            logit[parent] = inverse_temperature * (beta_a[parent[1]] - cost)
        if iteration == config.iterations - 1:
            break
        for child, its_parents in parents_of.items():
            scores = []
            for j in its_parents:
                distances = (votes[j][child] - mean[j]) ** 2 / variance[j]
                log_density = -0.5 * (distances + variance[j].log()).sum()
                scores.append(log_density / config.density_temperature - _softplus(-logit[j]))
            log_total = torch.stack(scores).logsumexp(0)
            for j, score in zip(its_parents, scores, strict=True):
                log_assignments[j][child] = score - log_total

    sites, positions = len(windows), len(next(iter(windows.values())))
    assignments = torch.stack(
        [
            log_assignments[site, parent_type][child_site, child_type]
            for site, sites_seen in windows.items()
            for child_site in sites_seen
            for child_type in range(child_types)
            for parent_type in range(parent_types)
        ]
    ).exp()
    return (
        torch.stack([logit[parent] for parent in parents]).view(sites, parent_types),
        torch.stack([mean[parent] for parent in parents]).view(sites, parent_types, 4, 4),
        assignments.view(sites, positions, child_types, parent_types),
    )


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _softplus(value: Tensor) -> Tensor:
    """log(1 + exp(value)) in full precision; torch's own turns linear above 20, and is off by 2e-9 there."""
    return torch.logaddexp(value, torch.zeros_like(value))
