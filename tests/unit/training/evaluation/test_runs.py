"""Runs can be pooled or compared only if they have one recipe and the same images."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from matcaps.training.config import TrainConfig
from matcaps.training.evaluation.runs import Fold, held_out_folds, require_same_recipe
from matcaps.training.recipes import RECIPES

SMALLNORB = RECIPES["smallnorb"]


def run(seed: int, instances: tuple[int, ...] | None, folder: str = "x") -> TrainConfig:
    """A run of smallnorb with a seed and held-out instances."""
    data = replace(SMALLNORB.data, held_out_instances=instances)
    return replace(SMALLNORB, data=data, seed=seed, run=replace(SMALLNORB.run, folder=Path(folder)))


def test_folds_are_seeds_and_instances() -> None:
    """They are in the order of the runs."""
    expected = [Fold(1, (9,)), Fold(0, (4,)), Fold(1, (4,)), Fold(0, (9,))]
    assert held_out_folds([run(*fold) for fold in expected]) == expected
    expected = [Fold(0, (4, 7)), Fold(0, (4, 9)), Fold(0, (7, 9))]
    assert held_out_folds([run(0, (7, 4)), run(0, (9, 4)), run(0, (7, 9))]) == expected


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(0, None)], "a held out no instance of smallNORB"),
        ([(0, (4,)), (1, (4,)), (1, (4,))], "b and c both held out instance 4 with seed 1"),
        ([(0, (4, 9)), (1, (4, 9)), (1, (9, 4))], "b and c both held out instances 4, 9 with seed 1"),
        (
            [(0, (4,)), (0, (6,)), (0, (8,)), (1, (6,))],
            "every seed must hold out the same instances; no run held out instance 4 with seed 1; "
            "instance 8 with seed 1",
        ),
        (
            [(0, (4, 6, 7)), (0, (4, 6, 9)), (0, (4, 8, 9)), (0, (7, 8, 9))],
            "3 runs of each seed must hold out every instance, but instance 6 is held out by 2, "
            "instance 7 is held out by 2, instance 8 is held out by 2",
        ),
    ],
)
def test_folds_that_cannot_be_pooled_are_rejected(runs: list[tuple[int, tuple[int, ...] | None]], words: str) -> None:
    """Each run must hold out instances, and every seed each instance equally often by the same runs."""
    configs = [run(*fold, folder) for fold, folder in zip(runs, "abcd", strict=False)]
    with pytest.raises(ValueError, match=re.escape(words)):
        held_out_folds(configs)


def test_runs_of_another_data_set_are_no_folds() -> None:
    """Only smallNORB has instances to hold out."""
    with pytest.raises(ValueError, match="held out no instance of smallNORB"):
        held_out_folds([RECIPES["mnist"]])


def test_runs_of_one_recipe_differ_in_seed_and_instance_only() -> None:
    """Another seed, instance or folder is the same recipe; another option is not."""
    require_same_recipe(run(0, None), [run(1, (4,)), run(2, (7, 9), "y")])
    other = replace(run(0, (4,)), augmentation=replace(SMALLNORB.augmentation, warp=0.2))
    with pytest.raises(ValueError, match=r"another recipe: warp 0\.2, not 0\.15"):
        require_same_recipe(run(0, None), [run(0, (9,)), other])
