"""The layers for a network of one's own: they agree with RoutedCaps and with CapsNet, on grids of any size."""

import copy
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from matcaps.model import CapsNet, CapsuleGrid, ClassCaps, ConvCaps, PrimaryCaps, RoutingConfig, tiny
from matcaps.model.capsules import Capsules, RoutedCaps
from matcaps.model.layers import ClassCapsules
from matcaps.model.pixels import standardise
from matcaps.model.windows import Windows

BY_TYPE = RoutingConfig(competition="positions", iterations=2)


def grid_of(
    batch: int, rows: int, columns: int, types: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> CapsuleGrid:
    """A random grid of capsules, whose tensors have gradients."""
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand(batch, rows, columns, types, generator=generator).to(dtype).requires_grad_()
    poses = torch.randn(batch, rows, columns, types, 4, 4, generator=generator).to(dtype).requires_grad_()
    return CapsuleGrid(activations, poses)


def parts(found: CapsuleGrid | ClassCapsules) -> list[Tensor]:
    """Every tensor of a result."""
    return [part for part in found if part is not None]


def gradients(results: list[Tensor], leaves: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of the results' squares."""
    return list(torch.autograd.grad(sum((part.square().sum() for part in results), torch.zeros(())), leaves))


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    """Whether all tensors are equal bit for bit."""
    return all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def even_coordinates(rows: int, columns: int) -> Tensor:
    """The centres of sites that divide the image evenly."""
    return torch.tensor([[(r + 0.5) / rows, (c + 0.5) / columns] for r in range(rows) for c in range(columns)])


@pytest.mark.parametrize("routing", [RoutingConfig(), BY_TYPE])
@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [((6, 6), 3, 1), ((7, 9), 3, 2), ((5, 8), (2, 3), 1), ((9, 4), (4, 1), 5)]
)
def test_conv_caps_is_routed_caps_bit_for_bit(
    size: tuple[int, int], kernel: int | tuple[int, int], stride: int, routing: RoutingConfig
) -> None:
    """Results, assignments and all gradients are the same bits, with the same seed and without copying weights."""
    extent = (kernel, kernel) if isinstance(kernel, int) else kernel
    torch.manual_seed(1)
    layer = ConvCaps(2, 3, kernel, stride, routing=routing)
    torch.manual_seed(1)
    fixed = RoutedCaps(2, 3, Windows(size, extent, stride), routing)
    grid = grid_of(2, *size, 2)

    found = layer(grid, assignments=True)
    routed = fixed(grid.flat(), assignments=True)
    assert found.poses.shape[1:3] == fixed.windows.parent_grid
    expected = [routed.activation_logits.sigmoid(), routed.poses, routed.assignments]
    flat = [part.flatten(1, 2) for part in parts(found)]
    assert same(flat, expected)
    leaves = [grid.activations, grid.poses]
    assert same(gradients(flat, [*leaves, *layer.parameters()]), gradients(expected, [*leaves, *fixed.parameters()]))


@pytest.mark.parametrize("routing", [RoutingConfig(), BY_TYPE])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 1)])
@pytest.mark.parametrize("coordinate_addition", [True, False])
def test_class_caps_is_routed_caps_bit_for_bit(
    size: tuple[int, int], coordinate_addition: bool, routing: RoutingConfig
) -> None:
    """Results, assignments and all gradients are the same bits; classes compete whatever the routing says."""
    coordinates = even_coordinates(*size) if coordinate_addition else None
    torch.manual_seed(1)
    layer = ClassCaps(2, 3, coordinate_addition=coordinate_addition, routing=routing)
    torch.manual_seed(1)
    fixed = RoutedCaps(2, 3, Windows(size, size, 1, coordinates), layer.routing, shared=True)
    assert layer.routing.competition == "parents"
    grid = grid_of(2, *size, 2)

    found = layer(grid, assignments=True)
    routed = fixed(grid.flat(), assignments=True)
    logits = routed.activation_logits.squeeze(1)
    expected = [logits, logits.sigmoid(), routed.poses.squeeze(1), routed.assignments.squeeze(1).unflatten(1, size)]
    assert same(parts(found), expected)
    leaves = [grid.activations, grid.poses]
    assert same(
        gradients(parts(found), [*leaves, *layer.parameters()]), gradients(expected, [*leaves, *fixed.parameters()])
    )


class Rebuilt(nn.Module):
    """CapsNet's own network from the public layers, around its stem."""

    def __init__(self, network: CapsNet) -> None:
        super().__init__()
        config, field = network.config, network.fields["conv_caps_2"]
        first, second = (float(centre) / config.input_size for centre in field.centres()[:2])
        self.stem, self.stem_norm = network.stem, network.stem_norm
        self.primary_caps = PrimaryCaps(config.stem_channels, config.primary_types)
        self.conv_caps_1 = ConvCaps(config.primary_types, config.conv_types_1, 3, 2)
        self.conv_caps_2 = ConvCaps(config.conv_types_1, config.conv_types_2, 3)
        self.class_caps = ClassCaps(config.conv_types_2, len(config.classes), centres=(first, second - first))
        self.load_state_dict({name: value for name, value in network.state_dict().items() if "calib" not in name})

    def forward(self, pixels: Tensor) -> ClassCapsules:
        features = functional.relu(self.stem_norm(self.stem(pixels)))
        capsules = self.conv_caps_2(self.conv_caps_1(self.primary_caps(features)))
        classes: ClassCapsules = self.class_caps(capsules, assignments=True)
        return classes


def test_the_layers_make_capsnet_itself() -> None:
    """They have the names of its weights, and give the same bits and gradients as the whole network."""
    torch.manual_seed(0)
    network = CapsNet(replace(tiny(), image_size=32, crop_size=32)).eval()  # coordinates are multiples of 1/64
    rebuilt = Rebuilt(network).eval()
    pixels = standardise(torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8), network.config)
    found, expected = rebuilt(pixels), network.forward_standardised(pixels)
    assert found.assignments is not None
    assert same(
        [*found[:3], found.assignments.flatten(1, 2)],
        [expected.logits, expected.activations, expected.poses, expected.class_assignments],
    )
    own = gradients([found.logits, found.poses], [value for name, value in rebuilt.named_parameters()])
    theirs = gradients(
        [expected.logits, expected.poses], [network.get_parameter(n) for n, _ in rebuilt.named_parameters()]
    )
    assert same(own, theirs)


def test_one_layer_takes_grids_of_any_size() -> None:
    """The number of sites follows from the grid of each call, and nothing of it stays in the layer."""
    conv, classes = ConvCaps(2, 3, (2, 3)), ClassCaps(3, 4)
    before = set(conv.state_dict()), set(vars(conv)), set(conv._modules)
    for rows, columns in ((2, 3), (5, 3), (3, 8), (2, 3)):
        parents = conv(grid_of(2, rows, columns, 2))
        assert parents.poses.shape == (2, rows - 1, columns - 2, 3, 4, 4)
        assert parents.assignments is None
        found = classes(parents)
        assert found.poses.shape == (2, 4, 4, 4)
        assert found.assignments is None
    assert before == (set(conv.state_dict()), set(vars(conv)), set(conv._modules))
    assert [*conv.state_dict()] == ["weights", "beta_u", "beta_a"]


def test_assignments_are_shares_of_each_child() -> None:
    """A child of ConvCaps gives 1 to all parents in all windows, and a child of ClassCaps 1 to all classes."""
    grid = grid_of(2, 5, 6, 2)
    found = ConvCaps(2, 3, 3)(grid, assignments=True)
    assert found.assignments is not None
    assert found.assignments.shape == (2, 3, 4, 9, 2, 3)
    torch.testing.assert_close(found.assignments.sum((1, 2, 3, 5)), torch.full((2, 2), 5.0 * 6.0))
    classes = ClassCaps(2, 3)(grid, assignments=True)
    assert classes.assignments is not None
    torch.testing.assert_close(classes.assignments.sum(-1), torch.ones(2, 5, 6, 2))


def test_centres_are_the_coordinates_of_the_votes() -> None:
    """A child's vote holds its centre, by default an even share of the image, in elements [0, 3] and [1, 3]."""
    grid = grid_of(1, 2, 4, 1)
    one = torch.zeros_like(grid.activations)
    one[0, 1, 2] = 1.0  # the only active child
    options: dict[str, dict[str, Any]] = {"even": {}, "given": {"centres": (0.25, 0.125)}}
    poses = {}
    for name, given in {**options, "none": {"coordinate_addition": False}}.items():
        torch.manual_seed(0)
        poses[name] = ClassCaps(1, 2, **given)(CapsuleGrid(one, grid.poses)).poses
    for name, (row, column) in {"even": (0.75, 0.625), "given": (0.375, 0.5)}.items():
        added = poses[name] - poses["none"]
        expected = torch.zeros(4, 4)
        expected[0, 3], expected[1, 3] = row, column
        torch.testing.assert_close(added, expected.expand(1, 2, 4, 4), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("layer", [ConvCaps(2, 3, 2), ClassCaps(2, 3), PrimaryCaps(4, 2).eval()])
def test_copies_are_the_same_layer(layer: nn.Module) -> None:
    """A deep copy, an unpickled one, one with the state_dict and a replica give the same results."""
    given: Any = torch.randn(2, 4, 3, 5) if isinstance(layer, PrimaryCaps) else grid_of(2, 3, 5, 2)
    expected = layer(given)
    loaded = copy.deepcopy(layer)
    for parameter in loaded.parameters():
        nn.init.zeros_(parameter)
    loaded.load_state_dict(layer.state_dict())
    for found in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded):
        assert same(parts(found(given)), parts(expected))


def replica_of(module: nn.Module) -> nn.Module:
    """What DataParallel puts on a device: the module with tensors in place of its parameters."""
    replica: nn.Module = module._replicate_for_data_parallel()
    for name, parameter in module._parameters.items():
        setattr(replica, name, None if parameter is None else parameter * 1.0)
    return replica


@pytest.mark.parametrize("layer", [ConvCaps(2, 3, 2), ClassCaps(2, 3)])
def test_replicas_run_side_by_side(layer: ConvCaps | ClassCaps) -> None:
    """Two replicas in threads, each with half of a batch, have the results and gradients of the layer itself."""
    grid = grid_of(4, 3, 6, 2)
    halves = [CapsuleGrid(grid.activations[part], grid.poses[part]) for part in (slice(0, 2), slice(2, 4))]
    with ThreadPoolExecutor(2) as threads:
        found = [part for result in threads.map(lambda half: replica_of(layer)(half), halves) for part in parts(result)]
    expected = [part for half in halves for part in parts(layer(half))]
    assert same(found, expected)
    leaves = [*layer.parameters()]
    torch.testing.assert_close(gradients(found, leaves), gradients(expected, leaves))


def test_autocast_routes_in_float32() -> None:
    """Under autocast children in half precision give parents in float32: those of the same children in float32."""
    primary, conv, classes = PrimaryCaps(4, 2), ConvCaps(2, 3, 2), ClassCaps(3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        children = primary(torch.randn(2, 4, 4, 5))
        parents = conv(children)
        found = classes(parents)
    assert children.poses.dtype == torch.bfloat16
    whole = CapsuleGrid(children.activations.float(), children.poses.float())
    assert {part.dtype for part in (*parts(parents), *parts(found))} == {torch.float32}
    assert same(parts(parents), parts(conv(whole)))
    assert same(parts(found), parts(classes(conv(whole))))


def test_a_layer_that_was_first_used_for_inference_can_be_trained() -> None:
    """The geometry that a call in inference mode finds also serves a call with gradients."""
    layer, grid = ClassCaps(2, 3), grid_of(2, 11, 13, 2)  # no other test has this size
    with torch.inference_mode():
        expected = parts(layer(grid))
    found = parts(layer(grid))
    assert same(found, expected)
    assert all(gradient.abs().max() > 0 for gradient in gradients(found, [*layer.parameters()]))


def test_an_empty_batch_has_no_results() -> None:
    """A batch without examples gives results without examples, and gradients of zero."""
    conv, classes = ConvCaps(2, 3, 2), ClassCaps(3, 2)
    found = classes(conv(grid_of(0, 3, 4, 2)))
    assert found.poses.shape == (0, 2, 4, 4)
    assert all((gradient == 0).all() for gradient in gradients(parts(found), [*conv.parameters()]))


def test_float64_stays_float64() -> None:
    """A layer in float64 has results in float64, which float32 approximates."""
    layer, grid = ConvCaps(2, 3, 2), grid_of(2, 4, 5, 2, torch.float64)
    single = layer(CapsuleGrid(grid.activations.float(), grid.poses.float()))
    double = layer.double()(grid)
    assert double.poses.dtype == torch.float64
    torch.testing.assert_close(single.poses.double(), double.poses, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvCaps(0, 3, 3), r"got in_types=0, out_types=3, kernel=3, stride=1"),
        (lambda: ConvCaps(2, 3, (3, 0)), r"got in_types=2, out_types=3, kernel=\(3, 0\), stride=1"),
        (lambda: ConvCaps(2, 3, 3, 0), r"stride=0"),
        (lambda: ClassCaps(2, 0), r"at least 1, got 2 and 0"),
        (lambda: PrimaryCaps(0, 2), r"at least 1 feature and 1 type, got 0 and 2"),
    ],
)
def test_a_number_below_1_is_an_error_that_names_it(make: Callable[[], nn.Module], message: str) -> None:
    """The error of the constructor has the numbers."""
    with pytest.raises(ValueError, match=message):
        make()


BAD_GRIDS: list[tuple[Any, str]] = [
    (torch.zeros(2, 4, 4, 3, 4, 4), "takes a CapsuleGrid, got Tensor"),
    (Capsules(torch.rand(2, 16, 3), torch.rand(2, 16, 3, 4, 4)), "takes a CapsuleGrid, got Capsules"),
    (
        CapsuleGrid(torch.rand(2, 4, 4, 5), torch.rand(2, 4, 4, 5, 4, 4)),
        r"takes poses \[batch, rows, columns, 3, 4, 4\], got \[2, 4, 4, 5, 4, 4\]",
    ),
    (
        CapsuleGrid(torch.rand(2, 4, 4, 3), torch.rand(2, 4, 4, 3, 16)),
        r"takes poses \[batch, rows, columns, 3, 4, 4\], got \[2, 4, 4, 3, 16\]",
    ),
    (
        CapsuleGrid(torch.rand(2, 4, 5, 3), torch.rand(2, 4, 4, 3, 4, 4)),
        r"takes activations \[2, 4, 4, 3\], got \[2, 4, 5, 3\]",
    ),
    (
        CapsuleGrid(torch.ones(2, 4, 4, 3).long(), torch.rand(2, 4, 4, 3, 4, 4)),
        "takes floating-point activations on cpu, got torch.int64 on cpu",
    ),
    (
        CapsuleGrid(torch.rand(2, 4, 4, 3), torch.rand(2, 4, 4, 3, 4, 4).to("meta")),
        "takes floating-point poses on cpu, got torch.float32 on meta",
    ),
]


@pytest.mark.parametrize(("grid", "message"), BAD_GRIDS)
@pytest.mark.parametrize("layer", [ConvCaps(3, 2, 3), ClassCaps(3, 2)])
def test_children_that_do_not_fit_are_an_error(layer: ConvCaps | ClassCaps, grid: Any, message: str) -> None:
    """The error has the layer's name, what it takes and what came."""
    forward = getattr(type(layer).forward, "__wrapped__", type(layer).forward)  # without the tests' check of types
    check = forward.__globals__["_check"]
    with pytest.raises(ValueError, match=f"{type(layer).__name__} {message}"):
        getattr(check, "__wrapped__", check)(layer, grid, (1, 1))


@pytest.mark.parametrize(
    ("layer", "rows", "columns", "message"),
    [
        (ConvCaps(2, 2, (3, 2)), 2, 5, "ConvCaps takes a grid of at least 3×2 sites, got 2×5"),
        (ConvCaps(2, 2, (3, 2)), 3, 1, "ConvCaps takes a grid of at least 3×2 sites, got 3×1"),
        (ClassCaps(2, 2), 0, 3, "ClassCaps takes a grid of at least 1×1 sites, got 0×3"),
    ],
)
def test_a_grid_below_the_kernel_is_an_error(layer: nn.Module, rows: int, columns: int, message: str) -> None:
    """The error has the smallest grid and the one that came."""
    with pytest.raises(ValueError, match=message):
        layer(grid_of(1, rows, columns, 2))


@pytest.mark.parametrize("shape", [(4, 6, 6), (2, 3, 6, 6)])
def test_features_that_do_not_fit_are_an_error(shape: tuple[int, ...]) -> None:
    """PrimaryCaps names the shape that it takes and the one that came."""
    by_site = getattr(PrimaryCaps.by_site, "__wrapped__", PrimaryCaps.by_site)
    expected = rf"PrimaryCaps takes features \[batch, 4, rows, columns\], got \[{', '.join(map(str, shape))}\]"
    with pytest.raises(ValueError, match=expected):
        by_site(PrimaryCaps(4, 2), torch.zeros(shape))


def test_a_layer_says_what_it_is() -> None:
    """The printed form has the numbers that define the layer."""
    assert repr(ConvCaps(2, 3, 3, 2)) == "ConvCaps(2 types below, 3 types, kernel=(3, 3), stride=2)"
    assert repr(ClassCaps(2, 3)) == "ClassCaps(2 types below, 3 types, coordinate_addition=True, centres=None)"
    assert "ConvCaps" not in repr(CapsNet(tiny()))
