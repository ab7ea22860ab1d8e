"""Runs can be pooled or compared only if they have one recipe and the same images."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from matcaps.training.config import TrainConfig
from matcaps.training.evaluation.runs import Fold, held_out_folds, require_same_recipe
from matcaps.training.recipes import RECIPES

SMALLNORB = RECIPES["smallnorb"]


def run(seed: int, instance: int | None, folder: str = "x") -> TrainConfig:
    """A run of smallnorb with a seed and a held-out instance."""
    data = replace(SMALLNORB.data, held_out_instance=instance)
    return replace(SMALLNORB, data=data, seed=seed, run=replace(SMALLNORB.run, folder=Path(folder)))


def test_folds_are_seeds_and_instances() -> None:
    """They are in the order of the runs."""
    assert held_out_folds([run(1, 9), run(0, 4), run(1, 4), run(0, 9)]) == [
        Fold(1, 9),
        Fold(0, 4),
        Fold(1, 4),
        Fold(0, 9),
    ]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(0, None)], "a held out no instance of smallNORB"),
        ([(0, 4), (1, 4), (1, 4)], "b and c both held out instance 4 with seed 1"),
        ([(0, 4), (0, 6), (1, 6)], "every seed must hold out the same instances; seed 1 lacks [4]"),
    ],
)
def test_folds_that_cannot_be_pooled_are_rejected(runs: list[tuple[int, int | None]], words: str) -> None:
    """Each run must hold out an instance, and every seed each instance once."""
    configs = [run(seed, instance, folder) for (seed, instance), folder in zip(runs, "abc", strict=False)]
    with pytest.raises(ValueError, match=re.escape(words)):
        held_out_folds(configs)


def test_runs_of_another_data_set_are_no_folds() -> None:
    """Only smallNORB has instances to hold out."""
    with pytest.raises(ValueError, match="held out no instance of smallNORB"):
        held_out_folds([RECIPES["mnist"]])


def test_runs_of_one_recipe_differ_in_seed_and_instance_only() -> None:
    """Another seed, instance or folder is the same recipe; another option is not."""
    require_same_recipe(run(0, None), [run(1, 4), run(2, 9, "y")])
    other = replace(run(0, 4), augmentation=replace(SMALLNORB.augmentation, warp=0.2))
    with pytest.raises(ValueError, match=r"another recipe: warp 0\.2, not 0\.15"):
        require_same_recipe(run(0, None), [run(0, 9), other])
