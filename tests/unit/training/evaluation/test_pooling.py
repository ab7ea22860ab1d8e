"""Scores are pooled over runs by toy, and two recipes are compared toy by toy."""

import math
import re
from typing import Any

import pytest

from matcaps.training.evaluation.metrics import Toy, ToyScore
from matcaps.training.evaluation.pooling import difference, mean, over_seeds, pool, ratio, verdict
from matcaps.training.evaluation.runs import Fold

CUBE, BALL, CONE = ("cube", 4), ("ball", 4), ("ball", 9)


def scores(*values: float, images: int = 10) -> dict[Toy, ToyScore]:
    """The same error and log-loss for each of up to three toys."""
    return {toy: ToyScore(images, value, value) for toy, value in zip((CUBE, BALL, CONE), values, strict=False)}


def test_a_toy_is_pooled_over_the_runs_of_a_seed_that_held_it_out() -> None:
    """Each run weighs as much as it has images of the toy; another seed is apart."""
    runs = {
        Fold(0, (4, 6)): {CUBE: ToyScore(10, 0.1, 1.0)},
        Fold(0, (4, 9)): {CUBE: ToyScore(30, 0.5, 2.0), CONE: ToyScore(20, 0.3, 3.0)},
        Fold(1, (4, 6)): {CUBE: ToyScore(10, 1.0, 5.0)},
    }
    expected: dict[int, dict[Toy, Any]] = {
        0: {CUBE: (40, pytest.approx(0.4), pytest.approx(1.75)), CONE: ToyScore(20, 0.3, 3.0)},
        1: {CUBE: ToyScore(10, 1.0, 5.0)},
    }
    assert pool(runs) == expected
    assert over_seeds(pool(runs))[CUBE] == pytest.approx((50, 0.52, 2.4))


def test_the_standard_error_is_that_of_the_mean_over_toys() -> None:
    """Toys of 0.1, 0.2 and 0.6 deviate by √0.07; one toy has no standard error."""
    found = mean(scores(0.1, 0.2, 0.6), "error")
    assert found == pytest.approx((0.3, math.sqrt(0.07 / 3)))
    assert math.isnan(mean(scores(0.1), "log_loss").standard_error)


def test_a_difference_is_paired_by_toy() -> None:
    """Differences of −0.1, 0 and −0.2 deviate by 0.1, however much the toys differ from each other."""
    found = difference(scores(0.1, 0.5, 0.0), scores(0.2, 0.5, 0.2), "log_loss")
    assert found == pytest.approx((-0.1, 0.1 / math.sqrt(3)))
    assert difference(scores(0.1, 0.9), scores(0.1, 0.9), "error") == (0.0, 0.0)


def test_a_ratio_is_paired_by_toy() -> None:
    """Half of every toy's log-loss is a ratio of 0.5 without a standard error."""
    assert ratio(scores(0.1, 0.4), scores(0.2, 0.8), "log_loss") == pytest.approx((0.5, 0.0))
    # Means of 0.2 and 0.4. The residuals 0.3 − 0.5 · 0.2 and 0.1 − 0.5 · 0.6 are ± 0.2: a standard error of 0.2.
    found = ratio(scores(0.3, 0.1), scores(0.2, 0.6), "error")
    assert found == pytest.approx((0.5, 0.2 / 0.4))
    assert all(map(math.isnan, ratio(scores(0.3, 0.1), scores(0.0, 0.0), "error")))


def test_recipes_on_different_toys_are_not_compared() -> None:
    """The error names the toys that only one of them has."""
    with pytest.raises(ValueError, match=r"one lacks ball 9$"):
        difference(scores(0.1, 0.2, 0.3), scores(0.1, 0.2), "error")


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ({0: 0.06, 1: 0.051}, r"^kept: gains of log-loss are 6\.0 % \(seed 0\), 5\.1 % \(seed 1\)"),
        ({0: 0.3, 1: 0.049}, r"^not kept: .*4\.9 % \(seed 1\); each must be at least 5 %"),
        ({0: -0.1, 1: 0.2}, r"^not kept: .*-10\.0 % \(seed 0\)"),
        ({3: 0.2}, r"^undecided: the gain of log-loss is 20\.0 % \(seed 3\); at least 2 seeds must gain 5 %"),
        ({3: 0.01}, r"^not kept: "),
        ({0: 0.2, 1: math.nan}, r"^not kept: "),
    ],
)
def test_a_recipe_is_kept_if_both_seeds_gain_5_percent(gains: dict[int, float], words: str) -> None:
    """One seed below 5 % decides against it; one seed above does not decide."""
    assert re.search(words, verdict(gains))
