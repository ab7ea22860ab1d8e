"""The bounds of the overload check."""

from collections import Counter
from typing import Any

from benchmarks.harness.load import Outcome
from checks.load.overload import broken_bounds


def outcome_of(good: int, latency_s: float, seconds: float = 1.0, **others: Any) -> Outcome:
    return Outcome(seconds, Counter({200: good, 429: 5}), [latency_s] * good, **others)


def test_each_broken_bound_of_an_overload_is_named() -> None:
    """p99 at most twice that at capacity, 95 % of the device, 429 for all others, and an answer to every request."""
    capacity = Outcome(1.0, Counter({200: 100}), [0.1] * 100)
    assert broken_bounds(capacity, outcome_of(96, 0.15), best=100) == []
    (slow,) = broken_bounds(capacity, outcome_of(96, 0.25), best=100)
    assert "at most 200 ms p99 of accepted requests, got 250 ms" in slow
    (few,) = broken_bounds(capacity, outcome_of(90, 0.1), best=100)
    assert "at least 95.0 images/s, got 90.0" in few
    (lost,) = broken_bounds(capacity, outcome_of(96, 0.1, broken=1), best=100)
    assert "1 without an answer" in lost
    failed = outcome_of(96, 0.1)
    failed.statuses[503] += 1
    assert "{503: 1}" in broken_bounds(capacity, failed, best=100)[0]
    refusing = Outcome(1.0, Counter({200: 100, 429: 1}), [0.1] * 100)
    assert "at capacity" in broken_bounds(refusing, outcome_of(96, 0.15), best=100)[0]


def test_an_overload_without_answers_breaks_a_bound() -> None:
    """The p99 latency of no answers is not a number, which no bound allows."""
    capacity = Outcome(1.0, Counter({200: 100}), [0.1] * 100)
    assert broken_bounds(capacity, Outcome(1.0), best=100)
