"""Several rounds to one figure: medians, and ratios between neighbours in time."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving.generator import Load


@dataclass(frozen=True)
class Rate:
    """What the middle of several rounds was, and their ends."""

    median: float
    lowest: float
    highest: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Rate":
        """Of one value for each round.

        >>> Rate.of([30.0, 10.0, 20.0])
        Rate(median=20.0, lowest=10.0, highest=30.0, rounds=3)
        """
        return cls(statistics.median(values), min(values), max(values), len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times theirs ours is: the median of the rounds' ratios, for what ran in one round shared its moods.

    >>> ratio([100.0, 10.0, 40.0], [50.0, 5.0, 10.0])
    2.0
    """
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Answers:
    """One server, asked by so many callers."""

    server: str
    connections: int
    per_s: Rate
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers of status 400 and above and connections that broke, of all rounds."""
    ratio: float
    """How many times as many requests a second this service answers; 1 for itself."""

    @classmethod
    def of(cls, server: str, connections: int, loads: Sequence[Load], ours: Sequence[Load]) -> "Answers":
        """Of one run for each round, and this service's runs of the same rounds."""
        return cls(
            server,
            connections,
            Rate.of([load.per_s for load in loads]),
            statistics.median(load.p50_ms for load in loads),
            statistics.median(load.p99_ms for load in loads),
            sum(load.refused + load.broken for load in loads),
            ratio([load.per_s for load in ours], [load.per_s for load in loads]),
        )
