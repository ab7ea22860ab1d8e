"""Figures of several rounds."""

import pytest

from benchmarks.serving.figures import Answers, Rate, ratio
from benchmarks.serving.wrk import Load


def loaded(per_s: float, p50_ms: float = 1.0, refused: int = 0) -> Load:
    return Load(round(per_s), 1.0, p50_ms, 2 * p50_ms, 9.0, refused, 0)


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which the machine was slow slows both servers, and does not change the ratio."""
    ours, theirs = [loaded(200), loaded(20), loaded(100)], [loaded(100), loaded(10), loaded(100, 3.0, refused=4)]
    answers = Answers.of("peer", 32, theirs, ours)
    assert answers.ratio == 2.0
    assert answers.per_s == Rate(100, 10, 100, rounds=3)
    assert (answers.p50_ms, answers.p99_ms, answers.failed) == (1.0, 2.0, 4)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])
