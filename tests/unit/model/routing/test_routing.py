"""Exact properties of EM routing for any numbers, and known traps of implementations."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Literal

import pytest
import torch
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.routing.eager import em_routing
from matcaps.model.windows import Windows
from tests.support.reference import Reference, windows_by_definition
from tests.support.routing_cases import (
    BY_TYPE,
    CLASSES,
    CONVOLUTION,
    HARD,
    LAYERS,
    SOFT,
    Case,
    Routing,
    close,
    gradients,
    route_by_loops,
)


@LAYERS
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_assignments_of_a_child_sum_to_1_over_competing_parents(route: Routing, case: Case, iterations: int) -> None:
    """The sum is over every window that sees the child, and over every type unless each competes by itself."""
    assignments = route(case.windows(), replace(case.config, iterations=iterations), *case.inputs()).assignments
    if case.config.competition == "parents":
        assignments = assignments.sum(-1, keepdim=True)
    contests = assignments.shape[-1]
    total = torch.zeros(case.batch, *case.child_grid, case.child_types, contests, dtype=torch.float64)
    windows = windows_by_definition(case.child_grid, case.kernel, case.stride)
    for parent, sites in enumerate(windows.values()):
        for position, (row, column) in enumerate(sites):
            total[:, row, column] += assignments[:, parent, position]
    for row, column in product(*map(range, case.child_grid)):
        reached = any((row, column) in sites for sites in windows.values())
        assert close(total[:, row, column], torch.full_like(total[:, row, column], float(reached)))


@LAYERS
def test_one_iteration_assigns_evenly(route: Routing, case: Case) -> None:
    """Before any E-step a child's assignments are 1 / (windows that reach it × types that compete for it)."""
    config = replace(case.config, iterations=1)
    assignments = route(case.windows(), config, *case.inputs()).assignments
    windows = list(windows_by_definition(case.child_grid, case.kernel, case.stride).values())
    for parent, sites in enumerate(windows):
        for position, site in enumerate(sites):
            types = case.parent_types if case.config.competition == "parents" else 1
            share = 1 / (sum(site in others for others in windows) * types)
            assert close(assignments[:, parent, position], assignments.new_tensor(share))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("config", [SOFT, HARD, BY_TYPE])
def test_children_that_no_window_reaches_have_no_gradient(
    route: Routing, config: RoutingConfig, dtype: torch.dtype
) -> None:
    """27 of 14×14 sites lie outside all 3×3 windows with stride 2; their gradient is zero, and none is NaN."""
    case = Case((14, 14), (3, 3), 2, 2, 3, config)
    leaves = [leaf.requires_grad_() for leaf in case.inputs(dtype)]
    found = gradients(route(case.windows(), config, *leaves), leaves)
    assert all(gradient.isfinite().all() for gradient in found)
    untouched = (found[0] == 0).flatten(2).all(-1)[0]
    assert untouched.sum() == 27
    assert untouched.view(14, 14)[-1].all()
    assert untouched.view(14, 14)[:, -1].all()
    assert (found[1][0, untouched] == 0).all()


@LAYERS
def test_permuting_child_types_changes_nothing(route: Routing, case: Case) -> None:
    """Results do not depend on the order of child types."""
    poses, activations, weights, *betas = case.inputs()
    order = torch.randperm(case.child_types, generator=torch.Generator().manual_seed(3))
    before = route(case.windows(), case.config, poses, activations, weights, *betas)
    children = poses[:, :, order], activations[:, :, order], weights[:, order]
    after = route(case.windows(), case.config, *children, *betas)
    assert close(after.activation_logits, before.activation_logits)
    assert close(after.poses, before.poses)
    assert close(after.assignments, before.assignments[:, :, :, order])


@LAYERS
def test_permuting_parents_permutes_results(route: Routing, case: Case) -> None:
    """Results are permuted as the weights and betas of the parents are."""
    poses, activations, weights, beta_u, beta_a = case.inputs()
    order = torch.randperm(case.parent_types, generator=torch.Generator().manual_seed(4))
    before = route(case.windows(), case.config, poses, activations, weights, beta_u, beta_a)
    parents = weights[:, :, order], beta_u[order], beta_a[order]
    after = route(case.windows(), case.config, poses, activations, *parents)
    assert close(after.activation_logits, before.activation_logits[..., order])
    assert close(after.poses, before.poses[:, :, order])
    assert close(after.assignments, before.assignments[..., order])


@LAYERS
def test_images_of_a_batch_do_not_influence_each_other(route: Routing, case: Case) -> None:
    """Each image has the results of a batch of its own."""
    poses, activations, *parameters = case.inputs()
    together = route(case.windows(), case.config, poses, activations, *parameters)
    for example in range(case.batch):
        one = slice(example, example + 1)
        alone = route(case.windows(), case.config, poses[one], activations[one], *parameters)
        assert all(close(part, whole[one]) for part, whole in zip(alone, together, strict=True))


@LAYERS
def test_a_constant_added_to_all_votes_shifts_poses_only(route: Routing, case: Case) -> None:
    """The same coordinates at every position move every parent by them and change nothing else."""
    positions = case.kernel[0] * case.kernel[1]
    shift = torch.tensor([2.5, -1.5], dtype=torch.float64)
    plain = Windows(case.child_grid, case.kernel, case.stride)
    shifted = Windows(case.child_grid, case.kernel, case.stride, shift.expand(positions, 2))
    before = route(plain, case.config, *case.inputs())
    after = route(shifted, case.config, *case.inputs())
    expected = before.poses.clone()
    expected[..., 0, 3] += shift[0]
    expected[..., 1, 3] += shift[1]
    assert close(after.poses, expected)
    assert close(after.activation_logits, before.activation_logits)
    assert close(after.assignments, before.assignments)


@LAYERS
def test_transforming_children_transforms_parents(route: Routing, case: Case) -> None:
    """votes(T M) = T votes(M): if T only permutes variances, means transform with it and activations stay."""
    poses, *others = case.inputs()
    transform = torch.tensor([[0, -1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, -1, 0]], dtype=torch.float64)
    windows = Windows(case.child_grid, case.kernel, case.stride)
    before = route(windows, case.config, poses, *others)
    after = route(windows, case.config, transform @ poses, *others)
    assert close(after.poses, transform @ before.poses)
    assert close(after.activation_logits, before.activation_logits)
    assert close(after.assignments, before.assignments)


def test_a_single_iteration_commutes_with_any_transform(route: Routing) -> None:
    """With even assignments, means transform with any 4×4 matrix."""
    case = replace(CONVOLUTION, config=replace(SOFT, iterations=1))
    poses, *others = case.inputs()
    transform = torch.randn(4, 4, generator=torch.Generator().manual_seed(5)).double()
    before = route(case.windows(), case.config, poses, *others)
    after = route(case.windows(), case.config, transform @ poses, *others)
    assert close(after.poses, transform @ before.poses)


@LAYERS
def test_means_weigh_votes_by_assignment_times_activation(route: Routing, case: Case) -> None:
    """Child activations do not cancel: μ_j = Σ R_ij a_i v_ij / Σ R_ij a_i with the assignments handed out."""
    case = replace(case, coordinates=False)
    poses, activations, weights, *betas = case.inputs()
    result = route(case.windows(), case.config, poses, activations, weights, *betas)
    windows = windows_by_definition(case.child_grid, case.kernel, case.stride)
    for parent, sites in enumerate(windows.values()):
        seen = [row * case.child_grid[1] + column for row, column in sites]
        votes = torch.einsum("npcxy,pcjyz->npcjxz", poses[:, seen], weights.expand(len(sites), -1, -1, -1, -1))
        masses = result.assignments[:, parent] * activations[:, seen].unsqueeze(-1)
        means = torch.einsum("npcj,npcjxy->njxy", masses, votes) / masses.sum((1, 2))[..., None, None]
        assert close(result.poses[:, parent], means)


def test_a_more_active_child_pulls_the_mean_towards_its_vote(route: Routing) -> None:
    """Of two children with a ratio r of activations, the mean lies r / (1 + r) of the way to the first one's vote."""
    case = Case((1, 1), (1, 1), 1, 2, 3, replace(SOFT, iterations=1))
    poses, _, weights, *betas = case.inputs()
    votes = poses[0, 0].unsqueeze(1) @ weights[0]
    for first in (0.1, 0.5, 1.0):
        activations = torch.tensor([[[first, 0.25]]], dtype=torch.float64)
        found = route(case.windows(), case.config, poses, activations, weights, *betas).poses[0, 0]
        share = first / (first + 0.25)
        assert close(found, share * votes[0] + (1 - share) * votes[1])


@pytest.mark.parametrize("competition", ["parents", "positions"])
@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES, replace(CONVOLUTION, stride=3)])
def test_the_mean_of_relative_masses_is_the_mean_activation(
    route: Routing, case: Case, competition: Literal["parents", "positions"]
) -> None:
    """In any geometry and competition, a relative mass of 1 is a parent's share of fully active children."""
    # Votes that agree have variances at a floor of 1, with a logarithm of 0: the logit is −λ 16 β_u S.
    config = replace(case.config, mass="relative", variance_floor=1.0, competition=competition)
    poses, activations, weights, _, beta_a = case.inputs()
    beta_u = torch.full_like(beta_a, 0.3)
    parameters = weights, beta_u, torch.zeros_like(beta_a)
    windows = Windows(case.child_grid, case.kernel, case.stride)
    logits = route(windows, config, 0 * poses, activations, *parameters).activation_logits
    reached = {
        site for sites in windows_by_definition(case.child_grid, case.kernel, case.stride).values() for site in sites
    }
    seen = [row * case.child_grid[1] + column for row, column in reached]
    masses = logits / (-config.inverse_temperature(2) * 16 * 0.3)
    assert close(masses.mean((1, 2)), activations[:, seen].clamp_min(1e-20).mean((1, 2)))


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_inverse_temperature_follows_the_schedule(route: Routing, iterations: int) -> None:
    """If votes cost nothing, a logit is β_a times 0.01 (1 − 0.95^(t+1)), t counted from 0."""
    config = RoutingConfig(iterations, 0.01, "absolute", 1.0, variance_floor=1.0)
    poses, activations, weights, beta_u, beta_a = CONVOLUTION.inputs()
    logits = route(CONVOLUTION.windows(), config, 0 * poses, activations, weights, 0 * beta_u, beta_a).activation_logits
    assert close(logits, (0.01 * (1 - 0.95**iterations) * beta_a).expand_as(logits))


@pytest.mark.parametrize("competition", ["parents", "positions"])
@pytest.mark.parametrize("temperature", [1.0, 16.0])
@pytest.mark.parametrize("coordinates", [False, True])
def test_gradients_pass_through_every_iteration(
    route: Routing, temperature: float, coordinates: bool, competition: Literal["parents", "positions"]
) -> None:
    """Finite differences agree in a random direction of each input and each output: no gradient is cut off."""
    config = RoutingConfig(final_inverse_temperature=0.5, density_temperature=temperature, competition=competition)
    case = Case((3, 2), (2, 1), 1, 2, 2, config, coordinates=coordinates, scale=0.3, seed=6)
    poses, activations, *parameters = case.inputs()
    leaves = [leaf.requires_grad_() for leaf in (poses, 0.1 + 0.8 * activations, *parameters)]
    windows = case.windows()

    def results(*inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(route(windows, config, *inputs))

    assert torch.autograd.gradcheck(results, leaves, fast_mode=True)


def switched_off(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Inactive children."""
    return poses, torch.zeros_like(activations)


def in_agreement(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Children whose votes are all zero."""
    return torch.zeros_like(poses), activations


def huge(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Children with poses a thousand times as large as those of an untrained network."""
    return 1e3 * poses, activations


@LAYERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extreme", [switched_off, in_agreement, huge])
def test_extremes_leave_results_and_gradients_finite(
    route: Routing, case: Case, dtype: torch.dtype, extreme: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> None:
    """Inactive, unanimous or huge children make no result and no gradient infinite or NaN."""
    poses, activations, *parameters = case.inputs(dtype)
    leaves = [leaf.requires_grad_() for leaf in (*extreme(poses, activations), *parameters)]
    result = route(case.windows(dtype), case.config, *leaves)
    assert all(part.isfinite().all() for part in result)
    assert all(gradient.isfinite().all() for gradient in gradients(result, leaves))


@pytest.mark.parametrize("config", [SOFT, HARD])
def test_variances_do_not_cancel_where_means_are_large(route: Routing, config: RoutingConfig) -> None:
    """Poses that scatter by 1 around 1000 activate their parents in float32 as they do in float64, to 1e-3."""
    case = Case((4, 4), (3, 3), 1, 2, 2, config, seed=7)
    poses, activations, weights, *betas = case.inputs(torch.float32)
    weights = torch.eye(4).expand_as(weights)
    inputs = [1e3 + poses, activations, weights, *betas]
    found = route(case.windows(torch.float32), config, *inputs).activation_logits
    exact = [tensor.double() for tensor in inputs]
    truth = route_by_loops(case, *exact).activation_logits
    assert (found.sigmoid() - truth.sigmoid()).abs().max() < 1e-3
    assert (found - truth).abs().max() < 1e-3 * truth.abs().max()


@LAYERS
@pytest.mark.parametrize("parents_at_once", [1, 2, 3])
def test_blocks_of_votes_change_nothing(case: Case, parents_at_once: int) -> None:
    """Values and gradients are the same in one block and in several, also if the last block is smaller."""
    windows = case.windows()
    votes_at_once = parents_at_once * windows.parent_sites * windows.positions * case.child_types
    results = []
    for votes in (10**9, votes_at_once):
        leaves = [leaf.requires_grad_() for leaf in case.inputs()]
        poses, activations, weights, beta_u, beta_a = leaves
        found = em_routing(poses, activations, weights, beta_u, beta_a, windows, case.config, votes_at_once=votes)
        assert found.assignments is not None
        reference = Reference(found.activation_logits, found.poses, found.assignments)
        results.append([*reference, *gradients(reference, leaves)])
    assert all(close(part, whole) for whole, part in zip(*results, strict=True))


def test_parents_of_other_types_take_no_share_where_types_compete_by_themselves(route: Routing) -> None:
    """A parent type's results are those that it has alone, whatever the other types are."""
    case = replace(CONVOLUTION, config=BY_TYPE)
    poses, activations, weights, beta_u, beta_a = case.inputs()
    together = route(case.windows(), case.config, poses, activations, weights, beta_u, beta_a)
    for parent_type in range(case.parent_types):
        one = slice(parent_type, parent_type + 1)
        alone = route(case.windows(), case.config, poses, activations, weights[:, :, one], beta_u[one], beta_a[one])
        assert close(alone.activation_logits, together.activation_logits[..., one])
        assert close(alone.poses, together.poses[:, :, one])
        assert close(alone.assignments, together.assignments[..., one])


def test_a_wrong_number_of_child_sites_is_an_error(route: Routing) -> None:
    """The error has the expected number of child sites and the number found."""
    poses, activations, *parameters = CONVOLUTION.inputs()
    with pytest.raises(ValueError, match="30 child sites, found 29"):
        route(CONVOLUTION.windows(), SOFT, poses[:, 1:], activations[:, 1:], *parameters)
