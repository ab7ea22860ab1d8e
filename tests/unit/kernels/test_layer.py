"""A routed layer of arrays, held against the loops in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from matcaps.kernels.layer import Constants, RoutedLayer
from matcaps.kernels.windows import WindowTables
from matcaps.model.config import RoutingConfig
from tests.support.routing_cases import Case, route_by_loops

CONVOLUTION = Case((5, 6), (3, 2), 2, 3, 5, RoutingConfig(density_temperature=4.0), batch=3)
CLASSES = Case((2, 2), (2, 2), 1, 4, 3, RoutingConfig(density_temperature=4.0), coordinates=True, shared=True, batch=3)
CASES = {
    "convolution": CONVOLUTION,
    "types apart": replace(CONVOLUTION, config=RoutingConfig(density_temperature=4.0, competition="positions")),
    "absolute mass": replace(CONVOLUTION, config=RoutingConfig(iterations=2, mass="absolute")),
    "one iteration": replace(CONVOLUTION, config=RoutingConfig(iterations=1)),
    "classes": CLASSES,
}


def layer_of(case: Case) -> RoutedLayer:
    """The layer of a case."""
    config = case.config
    _, _, weights, beta_u, beta_a = (tensor.numpy() for tensor in case.inputs(torch.float32))
    coordinates = case.windows(torch.float32).coordinates
    return RoutedLayer(
        WindowTables.of(case.child_grid, case.kernel, case.stride),
        weights,
        beta_u,
        beta_a,
        None if coordinates is None else coordinates.numpy(),
        Constants(
            config.iterations,
            config.final_inverse_temperature,
            config.density_temperature,
            config.variance_floor,
            config.mass == "relative",
            config.competition == "positions",
        ),
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_layer_routes_as_the_loops_do(case: Case) -> None:
    """Logits, poses and assignments differ from float64 by rounding alone, with one thread and with two."""
    poses, activations, *_ = (tensor.numpy() for tensor in case.inputs(torch.float32))
    expected = route_by_loops(case, *case.inputs(torch.float64))
    found = layer_of(case).route(poses, activations, assignments=True)
    for name, value, reference in zip(found._fields, found, expected, strict=True):
        assert value is not None
        np.testing.assert_allclose(value, reference.numpy(), rtol=2e-4, atol=2e-5, err_msg=name)
    other = layer_of(case).route(poses, activations, threads=2)
    assert other.assignments is None
    np.testing.assert_array_equal(other.logits, found.logits)
    np.testing.assert_array_equal(other.poses, found.poses)


def test_children_of_another_grid_are_refused() -> None:
    """The error has both shapes."""
    poses, activations, *_ = (tensor.numpy() for tensor in CONVOLUTION.inputs(torch.float32))
    with pytest.raises(ValueError, match=r"expected poses \(3, 30, 3, 4, 4\) and activations \(3, 30, 3\), got"):
        layer_of(CONVOLUTION).route(poses[:, :20], activations[:, :20])


@pytest.mark.parametrize("name", ["weights", "beta_u", "beta_a"])
def test_weights_of_another_shape_are_refused(name: str) -> None:
    """The error names the array, the expected shape and the shape that came."""
    layer = layer_of(CONVOLUTION)
    with pytest.raises(ValueError, match=rf"{name} must have the shape .*, got|positions of weights, got"):
        replace(layer, **{name: getattr(layer, name)[:-1]})
