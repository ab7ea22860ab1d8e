"""A released training record names the images that its training held out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from matcaps.training.config import DataConfig
from matcaps.training.data import ImageSet, load
from matcaps.training.data.splits import held_out_of_record, split
from matcaps.training.recipes import RECIPES
from tests.support.writers import idx, write


@pytest.fixture
def toys() -> ImageSet:
    """Ten images of instances 0 to 4."""
    images = torch.zeros(10, 1, 2, 2, dtype=torch.uint8)
    return ImageSet("toys", ("cube",), images, torch.zeros(10).long(), {"instance": torch.arange(10) // 2})


def test_rows_are_drawn_as_in_training(tmp_path: Path) -> None:
    """The held-out images of MNIST are found again by their number and the seed."""
    draws = np.random.default_rng(0)
    pixels, labels = draws.integers(256, size=(500, 28, 28)), draws.integers(10, size=500)
    write(tmp_path / "mnist" / "train-images-idx3-ubyte", idx(pixels.astype(np.uint8)))
    write(tmp_path / "mnist" / "train-labels-idx1-ubyte", idx(labels.astype(np.uint8)))
    recipe = RECIPES["mnist"]
    run = replace(recipe.run, root=tmp_path)
    held_out = split(replace(recipe, data=DataConfig("mnist", held_out_rows=200), seed=5, run=run))[1]
    found = held_out_of_record(load("mnist", tmp_path), {"validation_images": 200, "seed": 5})
    assert torch.equal(found.images, held_out.images)
    assert torch.equal(found.labels, held_out.labels)


def test_an_instance_is_held_out_as_in_training(toys: ImageSet) -> None:
    """The held-out instances of a data set with instances are in the record; older artefacts name one."""
    for name, value, expected in (
        ("held_out_instances", [3], [3, 3]),
        ("held_out_instances", [1, 3], [1, 1, 3, 3]),
        ("held_out_instance", 3, [3, 3]),
    ):
        found = held_out_of_record(toys, {name: value, "validation_images": 4, "seed": 0})
        assert found.info["instance"].tolist() == expected


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"held_out_instances": None, "protocol": "all of them"}, r"\(protocol: all of them\)"),
        ({"held_out_instance": None, "protocol": "all of them"}, r"\(protocol: all of them\)"),
        ({"held_out_instances": []}, "--data FOLDER"),
        ({"held_out_instances": ["4"]}, "--data FOLDER"),
        ({}, "evaluate on the official test split with --split test"),
        ({"held_out_instance": "4"}, "--data FOLDER"),
    ],
)
def test_a_record_without_held_out_images_is_rejected(toys: ImageSet, record: dict[str, Any], words: str) -> None:
    """The error says how to evaluate instead."""
    with pytest.raises(ValueError, match=words):
        held_out_of_record(toys, record)
