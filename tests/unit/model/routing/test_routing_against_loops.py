"""Every implementation of EM routing against loops over parents and children, in value and gradient."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor

from matcaps.model.config import RoutingConfig
from tests.support.routing_cases import CONVOLUTION, ROUTINGS, Case, Routing, cases, largest_error, routed

NUDGES = 4
AMPLIFYING = Case((6, 2), (3, 2), 1, 2, 2, RoutingConfig(5, 0.01, "relative", 1.0), shared=True, scale=0.3, seed=741)
"""Five hard iterations that amplify a rounding of the inputs about a hundred times."""


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0, 1.0), floors=(1e-2, 1e-1), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_values_and_gradients_are_those_of_the_procedure(case: Case) -> None:
    """In float64 every routing agrees with the loops to 1e-10, or to what one rounding of the inputs does to them."""
    truth = routed(None, case, torch.float64)
    for name, route in ROUTINGS.items():
        found = routed(route, case, torch.float64)
        for gradient, unit in ((False, 1.0), (True, 0.0)):
            error = largest_error(found, truth, gradient=gradient, unit=unit)
            if error > 1e-10:  # five hard iterations may amplify a rounding a million times
                nudged = routed(None, case, torch.float64, nudge=torch.finfo(torch.float64).eps)
                assert error <= 10 * largest_error(nudged, truth, gradient=gradient, unit=unit), name


@pytest.mark.parametrize(
    "case",
    [
        Case((6, 3), (5, 2), 3, 4, 3, RoutingConfig(3, 1.0, "absolute", 1.0), True, scale=10.0, seed=277450),
        Case((6, 6), (4, 4), 1, 1, 1, RoutingConfig(5, 1.0, "absolute", 16.0), True, scale=10.0, seed=537291),
    ],
)
def test_parents_that_are_almost_off_are_those_of_the_procedure(route: Routing, case: Case) -> None:
    """log a_j keeps its precision at logits below −20, where a logistic's usual shortcut is off by 2e-9."""
    truth = routed(None, case, torch.float64)
    found = routed(route, case, torch.float64)
    assert truth["logits"].min() < -20
    assert largest_error(found, truth, gradient=False, unit=1.0) < 1e-10
    assert largest_error(found, truth, gradient=True) < 1e-10


def error_of_rounded_inputs(case: Case, truth: dict[str, Tensor], *, gradient: bool) -> float:
    """The largest error that one ulp of float32 in the inputs causes in the float64 loops, in some random tries."""
    ulp = torch.finfo(torch.float32).eps
    found = (routed(None, case, torch.float64, nudge=ulp, nudge_seed=2 + number) for number in range(NUDGES))
    return max(largest_error(nudged, truth, gradient=gradient) for nudged in found)


def assert_as_exact_as_loops(route: Routing, case: Case, truth: dict[str, Tensor], loops: dict[str, Tensor]) -> None:
    """The float32 routing is at most 10 times as far from the float64 loops as the float32 loops are.

    Where the float32 loops are closer than their inputs' rounding allows, they are so by chance. There the routing is
    compared with the error that such a rounding causes.
    """
    found = routed(route, case, torch.float32)
    ulps = 8 * torch.finfo(torch.float32).eps
    if case.config.iterations == 1:  # the first assignments are a difference of logarithms as large as 46
        ulps *= 4
    for gradient in (False, True):
        error = largest_error(found, truth, gradient=gradient)
        if error > 10 * largest_error(loops, truth, gradient=gradient) + ulps:
            assert error <= 10 * error_of_rounded_inputs(case, truth, gradient=gradient) + ulps, route


def assert_all_as_exact_as_loops(case: Case) -> None:
    """The same for every implementation."""
    truth, loops = routed(None, case, torch.float64), routed(None, case, torch.float32)
    for route in ROUTINGS.values():
        assert_as_exact_as_loops(route, case, truth, loops)


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("mass", ["relative", "absolute"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_types_that_compete_by_themselves_are_those_of_the_procedure(
    iterations: int, mass: Literal["relative", "absolute"], temperature: float, stride: int
) -> None:
    """Float64 agrees with the loops to 1e-10, float32 to their own error; strides 2 and 3 leave children unseen."""
    config = RoutingConfig(iterations, 1.0, mass, temperature, competition="positions")
    case = replace(CONVOLUTION, stride=stride, config=config, batch=1)
    truth, loops = routed(None, case, torch.float64), routed(None, case, torch.float32)
    assert bool((case.windows().windows_of_child == 0).any()) == (stride > 1)
    for name, route in ROUTINGS.items():
        found = routed(route, case, torch.float64)
        for gradient, unit in ((False, 1.0), (True, 0.0)):
            assert largest_error(found, truth, gradient=gradient, unit=unit) < 1e-10, name
        assert_as_exact_as_loops(route, case, truth, loops)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0,), floors=(1e-2, 1e-4, 1e-3), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_float32_is_as_exact_as_the_loops_where_assignments_are_soft(case: Case) -> None:
    """At a high temperature, float32 rounds no worse than the loops do, even with variances at the floor."""
    assert_all_as_exact_as_loops(case)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(temperatures=(1.0,), floors=(1e-2, 1e-4), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
@example(AMPLIFYING)
def test_float32_is_as_exact_as_the_loops_where_assignments_are_hard(case: Case) -> None:
    """With the procedure's own densities float32 rounds no worse than the loops do."""
    assert_all_as_exact_as_loops(case)


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
    assert_all_as_exact_as_loops(case)
