"""Every implementation of EM routing against loops over children and parents, in value and gradient."""

import pytest
import torch
from hypothesis import given, settings

from matcaps.model.config import RoutingConfig
from tests.support.routing_cases import Case, Routing, cases, largest_error, routed


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0, 1.0), floors=(1e-2, 1e-1), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_values_and_gradients_are_those_of_the_procedure(route: Routing, case: Case) -> None:
    """In float64 the routing agrees with the loops to 1e-10, or to what one rounding of the inputs does to them."""
    truth = routed(None, case, torch.float64)
    found = routed(route, case, torch.float64)
    for gradient, unit in ((False, 1.0), (True, 0.0)):
        error = largest_error(found, truth, gradient=gradient, unit=unit)
        if error > 1e-10:  # five hard iterations may amplify a rounding a million times
            nudged = routed(None, case, torch.float64, nudged=True)
            assert error <= 10 * largest_error(nudged, truth, gradient=gradient, unit=unit)


@pytest.mark.parametrize(
    "case",
    [
        Case((6, 3), (5, 2), 3, 4, 3, RoutingConfig(3, 1.0, "absolute", 1.0), True, scale=10.0, seed=277450),
        Case((6, 6), (4, 4), 1, 1, 1, RoutingConfig(5, 1.0, "absolute", 16.0), True, scale=10.0, seed=537291),
    ],
)
def test_parents_that_are_all_but_off_are_those_of_the_procedure(route: Routing, case: Case) -> None:
    """log a_j keeps its precision at logits below −20, where a logistic's usual shortcut is off by 2e-9."""
    truth = routed(None, case, torch.float64)
    found = routed(route, case, torch.float64)
    assert truth["logits"].min() < -20
    assert largest_error(found, truth, gradient=False, unit=1.0) < 1e-10
    assert largest_error(found, truth, gradient=True) < 1e-10


def assert_as_exact_as_loops(route: Routing, case: Case) -> None:
    """The float32 routing is at most 10 times as far from the float64 loops as the float32 loops are."""
    truth = routed(None, case, torch.float64)
    found = routed(route, case, torch.float32)
    loops = routed(None, case, torch.float32)
    ulps = 8 * torch.finfo(torch.float32).eps
    if case.config.iterations == 1:  # the first assignments are a difference of logarithms as large as 46
        ulps *= 4
    for gradient in (False, True):
        allowed = 10 * largest_error(loops, truth, gradient=gradient) + ulps
        assert largest_error(found, truth, gradient=gradient) <= allowed


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases(temperatures=(16.0,), floors=(1e-2, 1e-4, 1e-3), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_float32_is_as_exact_as_the_loops_where_assignments_are_soft(route: Routing, case: Case) -> None:
    """At the temperature that ships, float32 rounds no worse than the loops do, even with variances at the floor."""
    assert_as_exact_as_loops(route, case)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases(temperatures=(1.0,), floors=(1e-2, 1e-4), scales=(1.0, 0.1, 0.3, 3.0, 10.0)))
def test_float32_is_as_exact_as_the_loops_where_assignments_are_hard(route: Routing, case: Case) -> None:
    """With the procedure's own densities float32 rounds no worse than the loops do."""
    assert_as_exact_as_loops(route, case)


@pytest.mark.parametrize(
    "case",
    [
        Case((6, 3), (3, 1), 2, 2, 5, RoutingConfig(5, 0.01, "relative", 1.0, 1e-2), scale=10.0, seed=808445),
        Case((4, 6), (1, 3), 1, 1, 2, RoutingConfig(2, 1.0, "absolute", 1.0, 1e-4), scale=10.0, seed=486081),
        Case((1, 2), (1, 1), 3, 4, 3, RoutingConfig(5, 1.0, "absolute", 1.0, 1e-2), True, scale=3.0, seed=395052),
    ],
)
def test_float32_stays_exact_when_means_leave_the_first_centre(route: Routing, case: Case) -> None:
    """A mean that hard assignments carry ten deviations away from the first one has its variance right."""
    assert_as_exact_as_loops(route, case)
