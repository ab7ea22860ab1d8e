"""EM routing against loops over children and parents, and what holds exactly whatever the numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.config import RoutingConfig
from model.routing import Routed, em_routing
from model.windows import Windows
from tests.reference import Reference, reference_routing, windows_by_definition

NAMES = ("poses", "activations", "weights", "beta_u", "beta_a")
MOST_VOTES = 160  # of one example; the loops take a fifth of a millisecond for each in each iteration


@dataclass(frozen=True)
class Case:
    """One geometry with its constants and the seed of its numbers: what hypothesis prints when a test fails."""

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
        """The windows, with random coordinates if there are any."""
        positions = self.kernel[0] * self.kernel[1]
        generator = torch.Generator().manual_seed(self.seed)
        coordinates = torch.rand(positions, 2, generator=generator).to(dtype) if self.coordinates else None
        return Windows(self.child_grid, self.kernel, self.stride, coordinates)

    def inputs(self, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Poses, activations, weights and betas; the same numbers in either dtype."""
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


def route(windows: Windows, config: RoutingConfig, *inputs: Tensor) -> Routed:
    """The routing, of poses, activations, weights and betas."""
    poses, activations, weights, beta_u, beta_a = inputs
    return em_routing(poses, activations, weights, beta_u, beta_a, windows, config)


def route_by_loops(case: Case, *inputs: Tensor) -> Reference:
    """The same by the loops, with the case's geometry and constants."""
    poses, activations, weights, beta_u, beta_a = inputs
    geometry = case.child_grid, case.kernel, case.stride
    coordinates = case.windows(poses.dtype).coordinates
    return reference_routing(poses, activations, weights, beta_u, beta_a, *geometry, case.config, coordinates)


def routed(case: Case, dtype: torch.dtype, *, by_loops: bool, nudged: bool = False) -> dict[str, Tensor]:
    """Outputs of the routing or of the loops, and the gradients of a fixed mixture of them, by name."""
    leaves = case.inputs(dtype)
    if nudged:  # by an ulp or two, up or down
        generator = torch.Generator().manual_seed(case.seed + 2)
        ulp = torch.finfo(dtype).eps
        leaves = [leaf * (1 + ulp * torch.randn(leaf.shape, generator=generator).sign()) for leaf in leaves]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    routing = route_by_loops(case, *leaves) if by_loops else route(case.windows(dtype), case.config, *leaves)
    result = tuple(routing)
    generator = torch.Generator().manual_seed(case.seed + 1)
    mixture = torch.zeros((), dtype=dtype)
    for part in result[:2]:
        mixture = mixture + (torch.randn(part.shape, generator=generator).to(dtype) * part).sum()
    gradients = torch.autograd.grad(mixture, leaves)
    values = dict(zip(("logits", "parent poses", "assignments"), result, strict=True))
    values |= {f"gradient of {name}": grad for name, grad in zip(NAMES, gradients, strict=True)}
    return {name: value.detach().double() for name, value in values.items()}


@st.composite
def cases(
    draw: st.DrawFn, *, temperatures: tuple[float, ...], floors: tuple[float, ...], scales: tuple[float, ...]
) -> Case:
    """Any small geometry; as many types as the loops have time for."""
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

    What is smaller than ``unit``, or than a thousandth of the largest tensor's, counts as that large: a gradient
    that is nothing but rounding has no relative error.
    """
    names = [name for name in truth if name.startswith("gradient") == gradient]
    sizes = {name: float(truth[name].abs().max()) for name in names}
    least = max(unit, 1e-3 * max(sizes.values()), 1e-30)
    return max(float((found[name] - truth[name]).abs().max()) / max(sizes[name], least) for name in names)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0, 1.0), floors=(1e-2, 1e-1), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_values_and_gradients_are_those_of_the_procedure(case: Case) -> None:
    """In float64 the routing agrees with the loops to 1e-10, or to what one rounding of the inputs does to them."""
    truth = routed(case, torch.float64, by_loops=True)
    found = routed(case, torch.float64, by_loops=False)
    for gradient, unit in ((False, 1.0), (True, 0.0)):
        error = largest_error(found, truth, gradient=gradient, unit=unit)
        if error > 1e-10:  # five hard iterations may amplify a rounding a million times
            nudged = routed(case, torch.float64, by_loops=True, nudged=True)
            assert error <= 10 * largest_error(nudged, truth, gradient=gradient, unit=unit)


@pytest.mark.parametrize(
    "case",
    [
        Case((6, 3), (5, 2), 3, 4, 3, RoutingConfig(3, 1.0, "absolute", 1.0), True, scale=10.0, seed=277450),
        Case((6, 6), (4, 4), 1, 1, 1, RoutingConfig(5, 1.0, "absolute", 16.0), True, scale=10.0, seed=537291),
    ],
)
def test_parents_that_are_all_but_off_are_those_of_the_procedure(case: Case) -> None:
    """log a_j keeps its precision at logits below −20, where a logistic's usual shortcut is off by 2e-9."""
    truth = routed(case, torch.float64, by_loops=True)
    found = routed(case, torch.float64, by_loops=False)
    assert truth["logits"].min() < -20
    assert largest_error(found, truth, gradient=False, unit=1.0) < 1e-10
    assert largest_error(found, truth, gradient=True) < 1e-10


def assert_as_exact_as_loops(case: Case) -> None:
    """The float32 routing is at most 10 times as far from the float64 loops as the float32 loops are."""
    truth = routed(case, torch.float64, by_loops=True)
    found = routed(case, torch.float32, by_loops=False)
    loops = routed(case, torch.float32, by_loops=True)
    ulps = 8 * torch.finfo(torch.float32).eps
    if case.config.iterations == 1:  # the first assignments are a difference of logarithms as large as 46
        ulps *= 4
    for gradient in (False, True):
        allowed = 10 * largest_error(loops, truth, gradient=gradient) + ulps
        assert largest_error(found, truth, gradient=gradient) <= allowed


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0,), floors=(1e-2, 1e-4, 1e-3), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_float32_is_as_exact_as_the_loops_where_assignments_are_soft(case: Case) -> None:
    """At the temperature that ships, float32 rounds no worse than the loops do, even with variances at the floor."""
    assert_as_exact_as_loops(case)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(temperatures=(1.0,), floors=(1e-2, 1e-4), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_float32_is_as_exact_as_the_loops_where_assignments_are_hard(case: Case) -> None:
    """With the procedure's own densities float32 rounds no worse than the loops do."""
    assert_as_exact_as_loops(case)


@pytest.mark.parametrize(
    "case",
    [
        Case((6, 3), (3, 1), 2, 2, 5, RoutingConfig(5, 0.01, "relative", 1.0, 1e-2), scale=10.0, seed=808445),
        Case((4, 6), (1, 3), 1, 1, 2, RoutingConfig(2, 1.0, "absolute", 1.0, 1e-4), scale=10.0, seed=486081),
        Case((1, 2), (1, 1), 3, 4, 3, RoutingConfig(5, 1.0, "absolute", 1.0, 1e-2), True, scale=3.0, seed=395052),
    ],
)
def test_float32_stays_exact_when_means_leave_the_first_centre(case: Case) -> None:
    """A mean that hard assignments carry ten deviations away from the first one has its variance right."""
    assert_as_exact_as_loops(case)


SOFT = RoutingConfig()
HARD = RoutingConfig(density_temperature=1.0, mass="absolute")
CONVOLUTION = Case((6, 5), (3, 2), 2, 3, 4, SOFT, batch=2, seed=1)
CLASSES = Case((3, 4), (3, 4), 1, 3, 5, SOFT, coordinates=True, shared=True, batch=2, seed=2)
LAYERS = pytest.mark.parametrize(
    "case",
    [
        pytest.param(replace(case, config=config), id=f"{layer}-{name}")
        for layer, case in (("convolution", CONVOLUTION), ("classes", CLASSES))
        for name, config in (("soft", SOFT), ("hard", HARD))
    ],
)


def close(found: Tensor, expected: Tensor) -> bool:
    """Whether two float64 results differ by rounding alone."""
    return torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def gradients(result: Routed, leaves: list[Tensor]) -> list[Tensor]:
    """Gradients of a mixture of activations and poses in which no two elements weigh the same."""
    logits, poses = result.activation_logits, result.poses
    mixture = (logits.sigmoid() * torch.linspace(1, 2, logits.numel(), dtype=logits.dtype).view_as(logits)).sum()
    mixture = mixture + (poses * torch.linspace(1, 2, poses.numel(), dtype=poses.dtype).view_as(poses)).sum()
    return list(torch.autograd.grad(mixture, leaves))


@LAYERS
def test_assignments_of_a_child_sum_to_1_over_all_its_parents(case: Case) -> None:
    """A child shares itself out among every type in every window that reaches it, not inside each window."""
    assignments = route(case.windows(), case.config, *case.inputs()).assignments.sum(-1)
    total = torch.zeros(case.batch, *case.child_grid, case.child_types, dtype=torch.float64)
    windows = windows_by_definition(case.child_grid, case.kernel, case.stride)
    for parent, sites in enumerate(windows.values()):
        for position, (row, column) in enumerate(sites):
            total[:, row, column] += assignments[:, parent, position]
    for row, column in product(*map(range, case.child_grid)):
        reached = any((row, column) in sites for sites in windows.values())
        assert close(total[:, row, column], torch.full_like(total[:, row, column], float(reached)))


@LAYERS
def test_one_iteration_assigns_evenly(case: Case) -> None:
    """Before any E-step a child's assignments are 1 / (windows that reach it × types)."""
    config = replace(case.config, iterations=1)
    assignments = route(case.windows(), config, *case.inputs()).assignments
    windows = list(windows_by_definition(case.child_grid, case.kernel, case.stride).values())
    for parent, sites in enumerate(windows):
        for position, site in enumerate(sites):
            share = 1 / (sum(site in others for others in windows) * case.parent_types)
            assert close(assignments[:, parent, position], assignments.new_tensor(share))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("config", [SOFT, HARD])
def test_children_that_no_window_reaches_have_no_gradient(config: RoutingConfig, dtype: torch.dtype) -> None:
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
def test_permuting_child_types_changes_nothing(case: Case) -> None:
    """The order of the children is no part of the result."""
    poses, activations, weights, *betas = case.inputs()
    order = torch.randperm(case.child_types, generator=torch.Generator().manual_seed(3))
    before = route(case.windows(), case.config, poses, activations, weights, *betas)
    children = poses[:, :, order], activations[:, :, order], weights[:, order]
    after = route(case.windows(), case.config, *children, *betas)
    assert close(after.activation_logits, before.activation_logits)
    assert close(after.poses, before.poses)
    assert close(after.assignments, before.assignments[:, :, :, order])


@LAYERS
def test_permuting_parents_permutes_results(case: Case) -> None:
    """Parents that change places, with their weights and betas, take their results along."""
    poses, activations, weights, beta_u, beta_a = case.inputs()
    order = torch.randperm(case.parent_types, generator=torch.Generator().manual_seed(4))
    before = route(case.windows(), case.config, poses, activations, weights, beta_u, beta_a)
    parents = weights[:, :, order], beta_u[order], beta_a[order]
    after = route(case.windows(), case.config, poses, activations, *parents)
    assert close(after.activation_logits, before.activation_logits[..., order])
    assert close(after.poses, before.poses[:, :, order])
    assert close(after.assignments, before.assignments[..., order])


@LAYERS
def test_examples_of_a_batch_do_not_meet(case: Case) -> None:
    """Each example is routed as if it were alone."""
    poses, activations, *parameters = case.inputs()
    together = route(case.windows(), case.config, poses, activations, *parameters)
    for example in range(case.batch):
        one = slice(example, example + 1)
        alone = route(case.windows(), case.config, poses[one], activations[one], *parameters)
        assert all(close(part, whole[one]) for part, whole in zip(alone, together, strict=True))


@LAYERS
def test_a_constant_added_to_all_votes_shifts_poses_only(case: Case) -> None:
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
def test_transforming_children_transforms_parents(case: Case) -> None:
    """votes(T M) = T votes(M): where T keeps the set of variances, parents turn with children and stay as active."""
    poses, *others = case.inputs()
    transform = torch.tensor([[0, -1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, -1, 0]], dtype=torch.float64)
    windows = Windows(case.child_grid, case.kernel, case.stride)
    before = route(windows, case.config, poses, *others)
    after = route(windows, case.config, transform @ poses, *others)
    assert close(after.poses, transform @ before.poses)
    assert close(after.activation_logits, before.activation_logits)
    assert close(after.assignments, before.assignments)


def test_a_single_iteration_commutes_with_any_transform() -> None:
    """Means of even assignments follow any 4×4 matrix, not only one that keeps variances."""
    case = replace(CONVOLUTION, config=replace(SOFT, iterations=1))
    poses, *others = case.inputs()
    transform = torch.randn(4, 4, generator=torch.Generator().manual_seed(5)).double()
    before = route(case.windows(), case.config, poses, *others)
    after = route(case.windows(), case.config, transform @ poses, *others)
    assert close(after.poses, transform @ before.poses)


@LAYERS
def test_means_weigh_votes_by_assignment_times_activation(case: Case) -> None:
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


def test_a_more_active_child_pulls_the_mean_towards_its_vote() -> None:
    """Of two children with a ratio r of activations, the mean lies r / (1 + r) of the way to the first one's vote."""
    case = Case((1, 1), (1, 1), 1, 2, 3, replace(SOFT, iterations=1))
    poses, _, weights, *betas = case.inputs()
    votes = poses[0, 0].unsqueeze(1) @ weights[0]
    for first in (0.1, 0.5, 1.0):
        activations = torch.tensor([[[first, 0.25]]], dtype=torch.float64)
        found = route(case.windows(), case.config, poses, activations, weights, *betas).poses[0, 0]
        share = first / (first + 0.25)
        assert close(found, share * votes[0] + (1 - share) * votes[1])


@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES, replace(CONVOLUTION, stride=3)])
def test_the_mean_of_relative_masses_is_the_mean_activation(case: Case) -> None:
    """Whatever the geometry, a unit of relative mass is what a parent gets of fully active children."""
    # Votes that agree have variances at a floor of 1, whose logarithm is 0: what is left of a logit is −λ 16 β_u S.
    config = replace(case.config, mass="relative", variance_floor=1.0)
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
def test_inverse_temperature_follows_the_schedule(iterations: int) -> None:
    """Where the votes cost nothing, a logit is β_a times 0.01 (1 − 0.95^(t+1)), t counted from 0."""
    config = RoutingConfig(iterations, 0.01, "absolute", 1.0, variance_floor=1.0)
    poses, activations, weights, beta_u, beta_a = CONVOLUTION.inputs()
    logits = route(CONVOLUTION.windows(), config, 0 * poses, activations, weights, 0 * beta_u, beta_a).activation_logits
    assert close(logits, (0.01 * (1 - 0.95**iterations) * beta_a).expand_as(logits))


@pytest.mark.parametrize("temperature", [1.0, 16.0])
@pytest.mark.parametrize("coordinates", [False, True])
def test_gradients_pass_through_every_iteration(temperature: float, coordinates: bool) -> None:
    """Finite differences agree for every input and every output: nothing stops a gradient on its way."""
    config = replace(SOFT, density_temperature=temperature, final_inverse_temperature=0.5)
    case = Case((3, 2), (2, 1), 1, 2, 2, config, coordinates=coordinates, scale=0.3, seed=6)
    poses, activations, *parameters = case.inputs()
    leaves = [leaf.requires_grad_() for leaf in (poses, 0.1 + 0.8 * activations, *parameters)]
    windows = case.windows()

    def results(*inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(route(windows, config, *inputs))

    assert torch.autograd.gradcheck(results, leaves)


def switched_off(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Children none of which is active."""
    return poses, torch.zeros_like(activations)


def in_agreement(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Children whose votes are all the same: zero."""
    return torch.zeros_like(poses), activations


def huge(poses: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    """Children whose poses are a thousand times as large as any that a network starts from."""
    return 1e3 * poses, activations


@LAYERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extreme", [switched_off, in_agreement, huge])
def test_extremes_leave_results_and_gradients_finite(
    case: Case, dtype: torch.dtype, extreme: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> None:
    """No inactive, unanimous or huge children make anything infinite or NaN."""
    poses, activations, *parameters = case.inputs(dtype)
    leaves = [leaf.requires_grad_() for leaf in (*extreme(poses, activations), *parameters)]
    result = route(case.windows(dtype), case.config, *leaves)
    assert all(part.isfinite().all() for part in result)
    assert all(gradient.isfinite().all() for gradient in gradients(result, leaves))


@pytest.mark.parametrize("config", [SOFT, HARD])
def test_variances_do_not_cancel_where_means_are_large(config: RoutingConfig) -> None:
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


def test_children_that_do_not_fill_the_grid_are_refused() -> None:
    """The error names the number of child sites that were expected and found."""
    poses, activations, *parameters = CONVOLUTION.inputs()
    with pytest.raises(ValueError, match="30 child sites, found 29"):
        route(CONVOLUTION.windows(), SOFT, poses[:, 1:], activations[:, 1:], *parameters)
