"""The time from a slider to the screen, by its steps."""

import pytest

from benchmarks.explorer.slider import report

BEGAN = {"began": 0.0, "asked": 5.0, "first": 30.0, "last": 32.0, "drawn": 36.0, "painted": 50.0}


def test_the_report_has_the_median_of_each_step() -> None:
    """Each step ends where the next one begins, and all together last from the slider to the screen."""
    moves = [{**BEGAN, "network": network, "rest": 300.0} for network in (4.0, 8.0, 12.0)]
    rows = [line.strip("| ").split(" | ") for line in report(moves).splitlines()[2:]]
    medians = {name.strip("* "): float(median) for name, median, _ in rows}
    *steps, together, network, rest = medians.values()
    assert steps == [5.0, 25.0, 2.0, 4.0, 14.0]
    assert together == pytest.approx(sum(steps))
    assert (network, rest) == (8.0, 300.0)
