"""EM routing as a loop over parents and a loop over children, straight from Procedure 1: slow, for comparison only.

It shares no code with the routing that it is compared with. It works out for itself which parents a child votes for.
The votes for one parent stand side by side in one tensor; no tensor spans two parents before the E-step.
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
Contest = Child | tuple[Child, int]  # what parents compete for: a child, or a child's assignments to one parent type
ByParent = dict[Parent, Tensor]


class Reference(NamedTuple):
    """The results of the loops; shapes as in ``matcaps.model.routing.eager.Routed``."""

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

    children_of: dict[Parent, list[Child]] = {}
    votes: ByParent = {}  # v_ij of each child, [child, 16]
    log_activation: ByParent = {}  # log a_i of each child, [child]
    for parent in parents:
        site, parent_type = parent
        children_of[parent] = [(seen, child_type) for seen in windows[site] for child_type in range(child_types)]
        of_parent = []
        for position in range(len(windows[site])):
            row, column = windows[site][position]
            child_poses = poses[row * child_columns + column]
            vote = child_poses @ weights[position if len(weights) > 1 else 0, :, parent_type]
            if coordinates is not None:
                addition = torch.zeros(4, 4, dtype=poses.dtype)
                addition[0, 3], addition[1, 3] = coordinates[position]
                vote = vote + addition
            of_parent.append(vote.flatten(1))
        votes[parent] = torch.cat(of_parent)
        sites = [row * child_columns + column for row, column in windows[site]]
        log_activation[parent] = activations[sites].flatten().clamp_min(1e-20).log()

    # Every vote has a number: those of the first parent come first, in the order of its children.
    contests_of: dict[Parent, list[Contest]] = {
        parent: [child if config.competition == "parents" else (child, parent[1]) for child in children_of[parent]]
        for parent in parents
    }
    numbers_of: dict[Contest, list[int]] = {}
    everything = [contest for parent in parents for contest in contests_of[parent]]
    for number, contest in enumerate(everything):
        numbers_of.setdefault(contest, []).append(number)
    mass_unit = len(numbers_of) / len(parents) if config.mass == "relative" else 1.0

    log_assignment: ByParent = {  # log R_ij of each child, [child]
        parent: poses.new_tensor([-math.log(len(numbers_of[contest])) for contest in contests_of[parent]])
        for parent in parents
    }

    for iteration in range(config.iterations):
        # M-step
        inverse_temperature = config.final_inverse_temperature * (1 - 0.95 ** (iteration + 1))
        mean: ByParent = {}  # [16]
        variance: ByParent = {}  # [16]
        logit: ByParent = {}
        for parent in parents:
            # r_ij in units of the parent's largest: all of them may be too small for a float
            log_mass = log_assignment[parent] + log_activation[parent]
            log_unit = log_mass.max().detach()
            mass = (log_mass - log_unit).exp()
            total = mass.sum()
            mean[parent] = (mass[:, None] * votes[parent]).sum(0) / total
            squares = mass[:, None] * (votes[parent] - mean[parent]) ** 2
            variance[parent] = (squares.sum(0) / total).clamp_min(config.variance_floor)
            costs = beta_u[parent[1]] + 0.5 * variance[parent].log()
            cost = costs.sum() * (total * log_unit.exp() / mass_unit)
            logit[parent] = inverse_temperature * (beta_a[parent[1]] - cost)
        if iteration == config.iterations - 1:
            break

        # E-step
        scores: ByParent = {}  # log (a_j N(v_ij; μ_j, σ²_j)) of each child, [child]
        for parent in parents:
            distances = (votes[parent] - mean[parent]) ** 2 / variance[parent]
            log_density = -0.5 * (distances + variance[parent].log()).sum(1)
            scores[parent] = log_density / config.density_temperature - _softplus(-logit[parent])
        all_scores = torch.cat([scores[parent] for parent in parents])
        log_total = {contest: all_scores[numbers].logsumexp(0) for contest, numbers in numbers_of.items()}
        for parent in parents:
            totals = torch.stack([log_total[contest] for contest in contests_of[parent]])
            log_assignment[parent] = scores[parent] - totals

    sites_of_parents, positions = len(windows), len(next(iter(windows.values())))
    assignments = torch.stack([log_assignment[parent] for parent in parents]).exp()  # [site · parent type, child]
    return (
        torch.stack([logit[parent] for parent in parents]).view(sites_of_parents, parent_types),
        torch.stack([mean[parent] for parent in parents]).view(sites_of_parents, parent_types, 4, 4),
        assignments.view(sites_of_parents, parent_types, positions, child_types).permute(0, 2, 3, 1),
    )


def _softplus(value: Tensor) -> Tensor:
    """log(1 + exp(value)) in full precision; torch's own turns linear above 20, and is off by 2e-9 there."""
    return torch.logaddexp(value, torch.zeros_like(value))
