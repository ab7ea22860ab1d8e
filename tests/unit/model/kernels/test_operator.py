"""The operator of the kernels as torch and its callers see it: shapes, dtypes, vector widths, threads."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from matcaps.kernels.library import library, widest
from matcaps.model.config import RoutingConfig
from matcaps.model.kernels import cpu
from matcaps.model.kernels.layer import (
    InputGradients,
    Inputs,
    Kept,
    Layer,
    ResultGradients,
    Results,
    empty_gradients,
    empty_results,
)
from matcaps.model.kernels.operator import Options, fused_routing
from matcaps.model.routing.dispatch import route as choose
from matcaps.model.routing.eager import Routed
from tests.support.routing_cases import (
    BY_TYPE,
    CLASSES,
    CONVOLUTION,
    LAYERS,
    SOFT,
    Case,
    close,
    gradients,
    route_by_kernel,
    route_by_torch,
)

WIDE = replace(CONVOLUTION, parent_types=17, child_types=9)  # two blocks of parents, a run and one more child
WIDTHS = [width for width in (128, 256, 512) if width <= widest()]


def fused(case: Case, dtype: torch.dtype, *inputs: Tensor, assignments: bool = True) -> Routed:
    """Results for poses, activations, weights and betas."""
    poses, activations, weights, beta_u, beta_a = inputs
    windows, config = case.windows(dtype), case.config
    return fused_routing(poses, activations, weights, beta_u, beta_a, windows, config, assignments=assignments)


def chosen(case: Case, dtype: torch.dtype, *inputs: Tensor) -> Routed:
    """The same through the dispatch that every layer uses."""
    poses, activations, weights, beta_u, beta_a = inputs
    return choose(poses, activations, weights, beta_u, beta_a, case.windows(dtype), case.config)


def arguments(case: Case, dtype: torch.dtype) -> tuple[Layer, Inputs]:
    """The arguments of the kernels."""
    inputs = Inputs(*case.inputs(dtype))
    return Layer.of(case.windows(dtype), case.config, inputs.weights), inputs


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parent_types", [1, 5, 16, 33])
@pytest.mark.parametrize("config", [SOFT, BY_TYPE], ids=["parents", "positions"])
def test_every_vector_width_gives_the_same_results(
    width: int, dtype: torch.dtype, parent_types: int, config: RoutingConfig
) -> None:
    """With vectors of 128, 256 and 512 bits, results and gradients agree with plain PyTorch to rounding."""
    case = replace(CONVOLUTION, parent_types=parent_types, config=config)
    layer, inputs = arguments(case, dtype)
    results = empty_results(inputs, layer, assignments=True, keep=True)
    cpu.forward(layer, inputs, results, width=width)
    given = ResultGradients(*(torch.ones_like(result) for result in results[:3]))
    found = empty_gradients(inputs)
    cpu.backward(layer, inputs, results.kept, given, found, width=width)

    leaves = [tensor.requires_grad_() for tensor in case.inputs()]
    expected = route_by_torch(case.windows(), case.config, *leaves)
    truth = torch.autograd.grad([part.sum() for part in expected], leaves)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    for one, other in zip((*results[:3], *found), (*expected, *truth), strict=True):
        torch.testing.assert_close(one.double(), other.detach(), rtol=tolerance, atol=tolerance)


@LAYERS
def test_gradients_of_assignments_reach_every_input(case: Case) -> None:
    """A loss of the assignments alone has the gradients that autograd finds in plain PyTorch."""
    found = []
    for routing in (route_by_kernel, route_by_torch):
        leaves = [leaf.requires_grad_() for leaf in case.inputs()]
        shares = routing(case.windows(), case.config, *leaves).assignments
        mixture = (shares * torch.linspace(1, 2, shares.numel(), dtype=shares.dtype).view_as(shares)).sum()
        found.append(torch.autograd.grad(mixture, leaves))
    assert all(close(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES, WIDE, replace(WIDE, config=BY_TYPE)])
def test_threads_change_no_bit(case: Case) -> None:
    """Results and gradients are the same numbers on one thread, on two and on three."""
    case = replace(case, batch=5)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            leaves = [leaf.requires_grad_() for leaf in case.inputs(torch.float32)]
            result = route_by_kernel(case.windows(torch.float32), case.config, *leaves)
            found.append([*result, *gradients(result, leaves)])
    finally:
        torch.set_num_threads(threads)
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


def test_each_image_of_a_large_batch_is_routed_as_if_alone() -> None:
    """19 images, more than the kernel handles at once and no multiple of that, have the results of single images."""
    case = replace(WIDE, batch=19)
    poses, activations, *parameters = case.inputs()
    together = route_by_kernel(case.windows(), case.config, poses, activations, *parameters)
    alone = [
        route_by_kernel(case.windows(), case.config, poses[n : n + 1], activations[n : n + 1], *parameters)
        for n in range(19)
    ]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_assignments_are_computed_only_on_request() -> None:
    """Without a request there are none: most layers do not need them."""
    inputs = CONVOLUTION.inputs()
    assert fused(CONVOLUTION, torch.float64, *inputs, assignments=False).assignments is None


def test_strides_do_not_matter() -> None:
    """Transposed, expanded and sliced tensors are routed as their copies are, and get their gradients."""
    poses, activations, weights, beta_u, beta_a = CONVOLUTION.inputs()
    strange = [
        poses.transpose(3, 4).contiguous().transpose(3, 4),
        activations.flip(1).flip(1).transpose(1, 2).contiguous().transpose(1, 2),
        torch.stack([weights, weights], -1)[..., 0],
        beta_u[:1].expand_as(beta_u),
        beta_a.repeat_interleave(2)[::2],
    ]
    found = []
    for tensors in (strange, [tensor.contiguous() for tensor in strange]):
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        result = route_by_kernel(CONVOLUTION.windows(), CONVOLUTION.config, *leaves)
        found.append([*result, *gradients(result, leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_an_empty_batch_has_empty_results_and_zero_gradients() -> None:
    """A batch of no images is not an error."""
    poses, activations, *parameters = CONVOLUTION.inputs()
    leaves = [leaf.requires_grad_() for leaf in (poses[:0], activations[:0], *parameters)]
    result = route_by_kernel(CONVOLUTION.windows(), CONVOLUTION.config, *leaves)
    assert result.poses.shape == (0, result.poses.shape[1], 4, 4, 4)
    found = torch.autograd.grad(result.poses.sum() + result.activation_logits.sum(), leaves)
    assert all((gradient == 0).all() for gradient in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_routed_in_float32(dtype: torch.dtype) -> None:
    """Poses in half precision are converted to float32 first, also under autocast."""
    poses, activations, *parameters = CONVOLUTION.inputs(torch.float32)
    halves = poses.to(dtype).requires_grad_(), activations.to(dtype)
    found = fused(CONVOLUTION, torch.float32, *halves, *parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        dispatched = chosen(CONVOLUTION, torch.float32, *halves, *parameters)
    expected = fused(CONVOLUTION, torch.float32, halves[0].float(), halves[1].float(), *parameters)
    assert found.poses.dtype == dispatched.poses.dtype == torch.float32
    assert torch.equal(found.poses, expected.poses)
    assert torch.equal(dispatched.poses, expected.poses)
    found.poses.sum().backward()
    assert halves[0].grad is not None
    assert halves[0].grad.dtype == dtype


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("poses", lambda t: t[..., :3], r"poses must have the shape \[2, 30, 3, 4, 4\], found \[2, 30, 3, 4, 3\]"),
        ("poses", lambda t: t[0, 0, 0, 0, 0], "30 child sites, found none"),
        ("activations", lambda t: t[:1], r"poses must have the shape \[1, "),
        ("activations", lambda t: t[:, :, :2], r"activations must have the shape \[2, 30, 3\], found \[2, 30, 2\]"),
        ("weights", lambda t: t[:2], r"weights must have the shape \[6, 3, 4, 4, 4\], found \[2, 3, 4, 4, 4\]"),
        ("weights", lambda t: t[:, :, :0], r"found 3 and 0|beta_u must have the shape \[0\]"),
        ("beta_u", lambda t: t[:3], r"beta_u must have the shape \[4\], found \[3\]"),
        ("beta_a", lambda t: t.long(), "beta_a must be floating point, found torch.int64"),
        ("beta_a", lambda t: t.to("meta"), "beta_a must be on the windows' device cpu, found meta"),
    ],
)
def test_a_wrong_shape_type_or_device_is_named(name: str, change: Callable[[Tensor], Tensor], message: str) -> None:
    """The ValueError says what was expected and what was found."""
    names = ("poses", "activations", "weights", "beta_u", "beta_a")
    tensors = dict(zip(names, CONVOLUTION.inputs(), strict=True))
    tensors[name] = change(tensors[name])
    routing: Callable[..., Routed] = getattr(
        fused_routing, "__wrapped__", fused_routing
    )  # without the tests' own check of shapes
    with pytest.raises(ValueError, match=message):
        routing(*tensors.values(), CONVOLUTION.windows(), CONVOLUTION.config)


def test_a_ninth_iteration_is_routed_by_plain_pytorch() -> None:
    """The kernels reject it, and the dispatch falls back to plain PyTorch."""
    config = replace(CONVOLUTION.config, iterations=9)
    with pytest.raises(ValueError, match="at most 8 iterations, found 9"):
        fused(replace(CONVOLUTION, config=config), torch.float64, *CONVOLUTION.inputs())
    assert chosen(replace(CONVOLUTION, config=config), torch.float64, *CONVOLUTION.inputs()).poses.isfinite().all()
    assert library().matcaps_most_iterations() == cpu.MOST_ITERATIONS == 8


@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES, replace(CONVOLUTION, config=BY_TYPE)])
def test_opcheck_accepts_the_operator(case: Case) -> None:
    """Schema, fake tensors and autograd registration pass torch's own checks."""
    layer, inputs = arguments(case, torch.float32)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    arguments_of_route = *leaves, *layer, *Options(assignments=True, keep=True)
    torch.library.opcheck(torch.ops.matcaps.route.default, arguments_of_route, test_utils=OPCHECKS)


OPCHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")


def test_the_schema_names_every_argument() -> None:
    """The operators' arguments and results have the names of the tuples' fields."""
    route, backward = torch.ops.matcaps.route.default._schema, torch.ops.matcaps.route_backward.default._schema
    assert [argument.name for argument in route.arguments] == [*Inputs._fields, *Layer._fields, *Options._fields]
    given = *ResultGradients._fields, *Kept._fields
    assert [argument.name for argument in backward.arguments] == [*given, *Inputs._fields, *Layer._fields]
    assert [result.name for result in route.returns] == [*Results._fields]
    assert [result.name for result in backward.returns] == [*InputGradients._fields]
