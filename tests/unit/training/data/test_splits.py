"""A released training record names the images that its training held out."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from matcaps.training.config import DataConfig
from matcaps.training.data import ImageSet, load
from matcaps.training.data.splits import held_out_of_record, split
from matcaps.training.recipes import RECIPES
from tests.support.writers import idx, write

RECIPE = RECIPES["folder"]


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


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Forty even images of two classes to train on, and six to hold out."""
    for folder, count in (("pets", 20), ("unseen", 3)):
        for name, level in (("cat", 0), ("dog", 128)):
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (8, 8), level + number).save(tmp_path / folder / name / f"{number}.png")
    return tmp_path / "pets", tmp_path / "unseen"


def split_with(pets: Path, validation: Path | None, **data: Any) -> tuple[ImageSet, ImageSet]:
    """Split a folder as a run of the recipe folder does."""
    return split(replace(RECIPE, data=DataConfig(str(pets), validation=validation, **data)))


def test_a_validation_folder_is_held_out_whole(folders: tuple[Path, Path]) -> None:
    """With it every image of the other folder is trained on; without it a fifth of each class is held out."""
    training, held_out = split_with(*folders)
    assert (len(training), len(held_out)) == (40, 6)
    assert held_out.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (held_out.classes, held_out.name) == (training.classes, str(folders[1]))
    training, held_out = split_with(folders[0], None)
    assert (len(training), len(held_out)) == (32, 8)


@pytest.mark.parametrize(
    ("missing", "extra", "words"),
    [
        ("dog", None, "cat, dog: it lacks dog"),
        (None, "eel", "cat, dog: it has besides eel"),
        ("cat", "eel", "cat, dog: it lacks cat and has besides eel"),
    ],
)
def test_a_validation_folder_must_have_the_same_classes(
    folders: tuple[Path, Path], missing: str | None, extra: str | None, words: str
) -> None:
    """The error names the classes that are missing or unknown."""
    pets, unseen = folders
    if extra:
        shutil.copytree(unseen / "cat", unseen / extra)
    if missing:
        shutil.rmtree(unseen / missing)
    with pytest.raises(ValueError, match=f"{words}$") as error:
        split_with(pets, unseen)
    assert str(error.value).startswith(f"the validation folder {unseen} must have the class folders of {pets}, ")


def test_a_validation_folder_must_be_there_and_be_another(folders: tuple[Path, Path]) -> None:
    """A folder that is missing is named with its option; the training folder cannot validate itself."""
    pets, unseen = folders
    with pytest.raises(FileNotFoundError, match=r"nowhere is neither .* name the new place with --validation"):
        split_with(pets, unseen / "nowhere")
    with pytest.raises(ValueError, match="must be another than the training folder"):
        split_with(pets, pets / ".." / "pets")


def test_unreadable_files_of_both_folders_are_skipped_on_request(folders: tuple[Path, Path]) -> None:
    """They are refused without the option."""
    for folder in folders:
        write(folder / "cat" / "1.png", b"")
    with pytest.raises(ValueError, match=r"1 of 40 files of .*pets cannot be read as an image"):
        split_with(*folders)
    training, held_out = split_with(*folders, skip_unreadable=True)
    assert (len(training), len(held_out)) == (39, 5)
