"""Outcomes of loads."""

from benchmarks.harness.load import Outcome


def test_percentiles_are_latencies_that_occurred() -> None:
    """A percentile is the smallest latency that so many per cent do not exceed."""
    outcome = Outcome(latencies_s=[place / 1e3 for place in range(1, 201)])
    assert [outcome.percentile_ms(percent) for percent in (1, 50, 99, 100)] == [2.0, 100.0, 198.0, 200.0]
