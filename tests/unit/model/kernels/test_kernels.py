"""The fused operator as torch and its callers see it: shapes, dtypes, vector widths, threads, compilers."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from matcaps.model.kernels import cpu
from matcaps.model.kernels.cpu.library import CompilationError, library, widest
from matcaps.model.kernels.layer import Inputs, Layer, ResultGradients, empty_gradients, empty_results
from matcaps.model.kernels.operator import Options, fused_routing
from matcaps.model.routing.dispatch import route as choose
from matcaps.model.routing.eager import Routed
from tests.support.routing_cases import (
    CLASSES,
    CONVOLUTION,
    LAYERS,
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
    """The same through the door that every layer takes."""
    poses, activations, weights, beta_u, beta_a = inputs
    return choose(poses, activations, weights, beta_u, beta_a, case.windows(dtype), case.config)


def arguments(case: Case, dtype: torch.dtype) -> tuple[Layer, Inputs]:
    """What the kernels themselves are handed."""
    inputs = Inputs(*case.inputs(dtype))
    return Layer.of(case.windows(dtype), case.config, inputs.weights), inputs


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parent_types", [1, 5, 16, 33])
def test_every_width_of_vectors_finds_the_same(width: int, dtype: torch.dtype, parent_types: int) -> None:
    """Narrow vectors stand in for wide ones: all results and gradients agree to rounding with the plain routing."""
    case = replace(CONVOLUTION, parent_types=parent_types)
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
def test_gradients_of_assignments_flow(case: Case) -> None:
    """What is asked of R alone reaches every input as autograd brings it there."""
    found = []
    for routing in (route_by_kernel, route_by_torch):
        leaves = [leaf.requires_grad_() for leaf in case.inputs()]
        shares = routing(case.windows(), case.config, *leaves).assignments
        mixture = (shares * torch.linspace(1, 2, shares.numel(), dtype=shares.dtype).view_as(shares)).sum()
        found.append(torch.autograd.grad(mixture, leaves))
    assert all(close(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES, WIDE])
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


def test_a_large_batch_is_routed_image_by_image() -> None:
    """More images than are worked through at once, and not a multiple of them: each is routed as if alone."""
    case = replace(WIDE, batch=19)
    poses, activations, *parameters = case.inputs()
    together = route_by_kernel(case.windows(), case.config, poses, activations, *parameters)
    alone = [
        route_by_kernel(case.windows(), case.config, poses[n : n + 1], activations[n : n + 1], *parameters)
        for n in range(19)
    ]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_assignments_come_only_if_asked_for() -> None:
    """They are as large as a vote's sixteenth part, and most layers need none."""
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
    """No image is no error."""
    poses, activations, *parameters = CONVOLUTION.inputs()
    leaves = [leaf.requires_grad_() for leaf in (poses[:0], activations[:0], *parameters)]
    result = route_by_kernel(CONVOLUTION.windows(), CONVOLUTION.config, *leaves)
    assert result.poses.shape == (0, result.poses.shape[1], 4, 4, 4)
    found = torch.autograd.grad(result.poses.sum() + result.activation_logits.sum(), leaves)
    assert all((gradient == 0).all() for gradient in found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_routed_in_float32(dtype: torch.dtype) -> None:
    """Poses that come in half precision, as under autocast, are widened first; so are they by the plain routing."""
    poses, activations, *parameters = CONVOLUTION.inputs(torch.float32)
    halves = poses.to(dtype).requires_grad_(), activations.to(dtype)
    found = fused(CONVOLUTION, torch.float32, *halves, *parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        through_the_door = chosen(CONVOLUTION, torch.float32, *halves, *parameters)
    expected = fused(CONVOLUTION, torch.float32, halves[0].float(), halves[1].float(), *parameters)
    assert found.poses.dtype == through_the_door.poses.dtype == torch.float32
    assert torch.equal(found.poses, expected.poses)
    assert torch.equal(through_the_door.poses, expected.poses)
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
        ("weights", lambda t: t[:, :, :0], r"found 3 and 0 types|beta_u must have the shape \[0\]"),
        ("beta_u", lambda t: t[:3], r"beta_u must have the shape \[4\], found \[3\]"),
        ("beta_a", lambda t: t.long(), "beta_a must be floating point, found torch.int64"),
        ("beta_a", lambda t: t.to("meta"), "beta_a must be on the windows' device cpu, found meta"),
    ],
)
def test_what_does_not_fit_is_named(name: str, change: Callable[[Tensor], Tensor], message: str) -> None:
    """A wrong shape, dtype or device is a ValueError that says what was found."""
    names = ("poses", "activations", "weights", "beta_u", "beta_a")
    tensors = dict(zip(names, CONVOLUTION.inputs(), strict=True))
    tensors[name] = change(tensors[name])
    routing: Callable[..., Routed] = getattr(
        fused_routing, "__wrapped__", fused_routing
    )  # without the tests' own check of shapes
    with pytest.raises(ValueError, match=message):
        routing(*tensors.values(), CONVOLUTION.windows(), CONVOLUTION.config)


def test_more_iterations_than_there_is_room_for() -> None:
    """The kernel refuses a ninth iteration; the door to routing takes the plain implementation for it."""
    config = replace(CONVOLUTION.config, iterations=9)
    with pytest.raises(ValueError, match="8 iterations at most, found 9"):
        fused(replace(CONVOLUTION, config=config), torch.float64, *CONVOLUTION.inputs())
    assert chosen(replace(CONVOLUTION, config=config), torch.float64, *CONVOLUTION.inputs()).poses.isfinite().all()
    assert library().matcaps_most_iterations() == cpu.MOST_ITERATIONS == 8


@pytest.mark.parametrize("case", [CONVOLUTION, CLASSES])
def test_torch_accepts_the_operator(case: Case) -> None:
    """Schema, fake tensors and autograd registration pass torch's own checks."""
    layer, inputs = arguments(case, torch.float32)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    arguments_of_route = *leaves, *layer, *Options(assignments=True, keep=True)
    torch.library.opcheck(torch.ops.matcaps.route.default, arguments_of_route, test_utils=OPCHECKS)


OPCHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")

COMPILED = """
import torch
from matcaps.model import CapsNet, tiny
torch.manual_seed(0)
network = CapsNet(tiny())
compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
images = torch.randint(0, 256, (4, 1, 24, 24), dtype=torch.uint8)
found = []
for model in (network, compiled):
    network.zero_grad()
    model(images).logits.square().sum().backward()
    found.append([parameter.grad.clone() for parameter in network.parameters()])
for one, other in zip(*found, strict=True):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
print("same gradients")
"""


def run(script: str, **environment: str) -> str:
    """What a script prints in a process of its own."""
    given = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    return subprocess.run(
        [sys.executable, "-c", script], env=given, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_network_compiled_as_a_whole_has_the_same_gradients() -> None:
    """torch.compile takes the operator for one of its own, without a break in the graph."""
    # In a process of its own: the compiler cannot read functions whose shapes are checked at run time.
    assert run(COMPILED) == "same gradients"


WITHOUT_COMPILER = """
import logging, torch
logging.basicConfig(format="%(message)s")
from matcaps.model import CapsNet, tiny
torch.manual_seed(0)
network = CapsNet(tiny()).eval()
for _ in range(2):
    print(network(torch.zeros(2, 1, 24, 24)).logits.isfinite().all().item())
"""


def test_without_a_compiler_all_works_and_one_line_says_so(tmp_path: Path) -> None:
    """The plain implementation takes over where nothing can be compiled."""
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, check=True, capture_output=True, text=True
    )
    assert ended.stdout.split() == ["True", "True"]
    assert ended.stderr.count("falls back to plain PyTorch") == 1
    assert "no C++ compiler 'no-such-compiler' is installed" in ended.stderr


def test_a_compiler_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error has the compiler's last lines, and nothing half made stays in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "--no-such-option")
    with pytest.raises(CompilationError, match="no-such-option"):
        library.__wrapped__()
    assert list((tmp_path / "matcaps").iterdir()) == []
    with caplog.at_level(logging.WARNING):
        assert cpu.available()  # what this process has loaded before stays
    assert caplog.text == ""


def test_the_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process finds the first one's library in the cache; other flags make another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "-O0")
    library.__wrapped__(128)
    (first,) = (tmp_path / "matcaps").iterdir()
    made = first.stat().st_mtime_ns
    library.__wrapped__(128)
    assert [file.stat().st_mtime_ns for file in (tmp_path / "matcaps").iterdir()] == [made]
    monkeypatch.setenv("CXXFLAGS", "-O0 -g")
    library.__wrapped__(128)
    assert len(list((tmp_path / "matcaps").iterdir())) == 2
