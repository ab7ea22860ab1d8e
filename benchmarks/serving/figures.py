"""One figure of several rounds: medians, and ratios within rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving.wrk import Load


@dataclass(frozen=True)
class Rate:
    """Median, lowest and highest of several rounds."""

    median: float
    lowest: float
    highest: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Rate":
        """The figures of one value for each round.

        >>> Rate.of([30.0, 10.0, 20.0])
        Rate(median=20.0, lowest=10.0, highest=30.0, rounds=3)
        """
        return cls(statistics.median(values), min(values), max(values), len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Ours divided by theirs: the median of the rounds' ratios, since one round is under one load of the machine.

    >>> ratio([100.0, 10.0, 40.0], [50.0, 5.0, 10.0])
    2.0
    """
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Answers:
    """One server under the load of so many callers."""

    server: str
    connections: int
    per_s: Rate
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers with a status of 400 or above, and broken connections, of all rounds."""
    ratio: float
    """Requests per second of matcaps divided by those of this server; 1 for matcaps itself."""

    @classmethod
    def of(cls, server: str, connections: int, loads: Sequence[Load], ours: Sequence[Load]) -> "Answers":
        """The figures of one run for each round, beside those of matcaps in the same rounds."""
        return cls(
            server,
            connections,
            Rate.of([load.per_s for load in loads]),
            statistics.median(load.p50_ms for load in loads),
            statistics.median(load.p99_ms for load in loads),
            sum(load.refused + load.broken for load in loads),
            ratio([load.per_s for load in ours], [load.per_s for load in loads]),
        )
