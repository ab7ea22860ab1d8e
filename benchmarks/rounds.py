"""Interleaved timing: actions take turns, so that other work on the machine slows all alike."""

import math
import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

SHORTEST_SAMPLE_S = 0.1  # a faster action is called several times in a row
LONG_S = 1.0  # a slower action is not called a second time to warm up
REST_S = 0.05  # between samples: for about that long onnxruntime's threads spin, each on a core
FEWEST_ROUNDS = 2  # counted rounds, however long they take

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Spread:
    """Median, fastest and slowest of several rounds, in milliseconds."""

    median_ms: float
    fastest_ms: float
    slowest_ms: float
    rounds: int

    @classmethod
    def of(cls, seconds: list[float], images: int = 1) -> "Spread":
        """The spread of one sample for each round, in milliseconds per image.

        >>> Spread.of([0.002, 0.010, 0.004], images=2)
        Spread(median_ms=2.0, fastest_ms=1.0, slowest_ms=5.0, rounds=3)
        """
        scale = 1e3 / images
        return cls(statistics.median(seconds) * scale, min(seconds) * scale, max(seconds) * scale, rounds=len(seconds))


def interleave(
    actions: Mapping[Name, Callable[[], object]], rounds: int, limit_s: float, progress: "tqdm[Any]"
) -> dict[Name, list[float]]:
    """Seconds of one call of each action, in each counted round.

    A round runs every action once, in a random order. The first round is not counted: it warms up, and finds how many
    calls make a sample. A sample of several calls begins with one that is not counted, which refills the caches. A
    round that would end after the limit does not begin, except for the first two that count.

    Args:
        actions: By name.
        rounds: Counted rounds.
        limit_s: Seconds of all rounds together.
        progress: Moves on by ``(rounds + 1) * len(actions)``
    """
    names = list(actions)
    began = ended = time.perf_counter()
    calls: dict[Name, int] = {}
    samples: dict[Name, list[float]] = {name: [] for name in names}
    done = 0
    for round_ in range(rounds + 1):
        now = time.perf_counter()
        if round_ > FEWEST_ROUNDS and now + (now - ended) > began + limit_s:
            break
        ended = now
        for name in random.Random(round_).sample(names, len(names)):
            time.sleep(REST_S)
            if name not in calls:
                taken = _seconds(actions[name], 1)
                if taken < LONG_S:
                    taken = _seconds(actions[name], 1)  # the first call allocates and loads
                calls[name] = max(1, math.ceil(SHORTEST_SAMPLE_S / taken))
            elif calls[name] == 1:
                samples[name].append(_seconds(actions[name], 1))
            else:
                actions[name]()
                samples[name].append(_seconds(actions[name], calls[name]))
            done += 1
            progress.update()
    progress.update((rounds + 1) * len(names) - done)
    return samples


def _seconds(action: Callable[[], object], calls: int) -> float:
    """Average seconds of a call."""
    start = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - start) / calls
