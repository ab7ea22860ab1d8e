"""Pools the scores of runs by toy, and compares two recipes toy by toy.

A toy, not an image, is the unit of every standard error: images of one toy are right or wrong together.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from matcaps.training.evaluation.metrics import Toy, ToyScore
from matcaps.training.evaluation.runs import Fold

Scores = Mapping[Toy, ToyScore]
Measure = Literal["error", "log_loss"]
LEAST_GAIN = 0.05  # share of the log-loss that each seed must gain, or a recipe is not kept
LEAST_SEEDS = 2


class Estimate(NamedTuple):
    """A mean over toys, or a difference or ratio of two; its standard error over toys is NaN for a single toy."""

    value: float
    standard_error: float


def pool(runs: Mapping[Fold, Scores]) -> dict[int, dict[Toy, ToyScore]]:
    """The scores of each seed, by toy: over all the images of the toy in all runs that held it out."""
    return {seed: _merge([of for fold, of in runs.items() if fold.seed == seed]) for seed in _seeds(runs)}


def over_seeds(by_seed: Mapping[int, Scores]) -> dict[Toy, ToyScore]:
    """The scores by toy over all seeds."""
    return _merge(list(by_seed.values()))


def mean(scores: Scores, measure: Measure) -> Estimate:
    """The mean over all images; every toy of smallNORB has the same number of them."""
    return Estimate(_mean(scores, measure), _standard_error([getattr(score, measure) for score in scores.values()]))


def difference(own: Scores, other: Scores, measure: Measure) -> Estimate:
    """How much higher a recipe's mean is than another's, paired by toy."""
    return Estimate(_mean(own, measure) - _mean(other, measure), _paired(own, other, measure, 1.0))


def ratio(own: Scores, other: Scores, measure: Measure) -> Estimate:
    """A recipe's mean divided by another's, paired by toy; NaN if the other is 0.

    The standard error is that of a ratio of two means (by the delta method).
    """
    of_other = _mean(other, measure)
    if not of_other:
        return Estimate(math.nan, math.nan)
    value = _mean(own, measure) / of_other
    return Estimate(value, _paired(own, other, measure, value) / of_other)


def verdict(gains: Mapping[int, float]) -> str:
    """Whether a recipe is kept: every seed, and at least two, must gain 5 % of the log-loss.

    Args:
        gains: Share of the other recipe's log-loss that is gained, by seed.

    >>> verdict({0: 0.061, 1: 0.043})
    'not kept: gains of log-loss are 6.1 % (seed 0), 4.3 % (seed 1); each must be at least 5 %'
    """
    words = ", ".join(f"{100 * gain:.1f} % (seed {seed})" for seed, gain in sorted(gains.items()))
    least = f"{100 * LEAST_GAIN:.0f} %"
    if not all(gain >= LEAST_GAIN for gain in gains.values()):
        return f"not kept: gains of log-loss are {words}; each must be at least {least}"
    if len(gains) < LEAST_SEEDS:
        return f"undecided: the gain of log-loss is {words}; at least {LEAST_SEEDS} seeds must gain {least}"
    return f"kept: gains of log-loss are {words}; each is at least {least}"


def _seeds(runs: Mapping[Fold, Scores]) -> list[int]:
    return sorted({fold.seed for fold in runs})


def _merge(several: Sequence[Scores]) -> dict[Toy, ToyScore]:
    """The scores by toy over several sets of scores, weighted by their images."""
    merged = {}
    for toy in dict.fromkeys(toy for scores in several for toy in scores):
        found = [scores[toy] for scores in several if toy in scores]
        images = [score.images for score in found]
        merged[toy] = ToyScore(
            sum(images),
            statistics.fmean([score.error for score in found], images),
            statistics.fmean([score.log_loss for score in found], images),
        )
    return merged


def _mean(scores: Scores, measure: Measure) -> float:
    values = [getattr(score, measure) for score in scores.values()]
    return statistics.fmean(values, [score.images for score in scores.values()])


def _paired(own: Scores, other: Scores, measure: Measure, factor: float) -> float:
    """The standard error of the mean over toys of own − factor · other."""
    if own.keys() != other.keys():
        toys = ", ".join(f"{name} {instance}" for name, instance in sorted(own.keys() ^ other.keys()))
        raise ValueError(f"both recipes must be evaluated on the same toys, but one lacks {toys}")
    return _standard_error([getattr(own[toy], measure) - factor * getattr(other[toy], measure) for toy in own])


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
