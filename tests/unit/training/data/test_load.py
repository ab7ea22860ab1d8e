"""Data sets are loaded by name, in whichever format is there."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from matcaps.training.data import FASHION_CLASSES, hold_out, load
from matcaps.training.data.sources import SOURCES
from tests.support.writers import TRAIN, idx, matrix, originals, prepared, write

SPLITS: list[Literal["train", "test"]] = ["train", "test"]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_data_sets_are_loaded_by_name(tmp_path: Path, name: str) -> None:
    """They lie in a folder of their name, and their ten classes have names."""
    for stem, shade in (("train", 1), ("t10k", 2)):
        write(tmp_path / name / f"{stem}-images-idx3-ubyte.gz", idx(np.full((10, 28, 28), shade, np.uint8)))
        write(tmp_path / name / f"{stem}-labels-idx1-ubyte.gz", idx(np.arange(10, dtype=np.uint8)))
    for split, shade in zip(SPLITS, (1, 2), strict=True):
        images = load(name, tmp_path, split)
        assert images.images.shape == (10, 1, 28, 28)
        assert images.images.unique().tolist() == [shade]
        assert images.name == name
        assert images.classes == (FASHION_CLASSES if name == "fashion-mnist" else tuple("0123456789"))


@pytest.mark.parametrize("form", ["original", "prepared"])
def test_smallnorb_is_loaded_in_any_format(tmp_path: Path, form: str) -> None:
    """It is loaded in pairs or each camera by itself."""
    if form == "original":
        for part, values in originals(3).items():
            write(tmp_path / "smallnorb" / f"{TRAIN}-{part}.mat", matrix(values))
    else:
        (tmp_path / "smallnorb").mkdir()
        np.savez(tmp_path / "smallnorb" / "train_48.npz", **prepared(3))  # type: ignore[arg-type]
    assert load("smallnorb", tmp_path).images.shape == (6, 1, 48, 48)
    assert load("smallnorb", tmp_path, stereo=True).images.shape == (3, 2, 48, 48)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", SOURCES)
def test_a_missing_data_set_is_rejected(tmp_path: Path, name: str, split: Literal["train", "test"]) -> None:
    """The error has the missing files and the command that downloads them."""
    with pytest.raises(FileNotFoundError) as failure:
        load(name, tmp_path, split)
    message = str(failure.value)
    assert f"no {split} split of {name}" in message
    assert f"matcaps download {name} --to {tmp_path}" in message
    stem = {"train": "train", "test": "test" if name == "smallnorb" else "t10k"}[split]
    looked_for = [file.removesuffix(".gz") for file in SOURCES[name].files if stem in file]
    assert looked_for
    assert all(file in message for file in looked_for)
    assert ("train_48.npz" in message) == ((name, split) == ("smallnorb", "train"))


@pytest.mark.parametrize("name", SOURCES)
def test_the_test_split_never_replaces_the_training_split(tmp_path: Path, name: str) -> None:
    """With only the files of the test split, the training split is missing."""
    for file in SOURCES[name].files:
        if "test" in file or "t10k" in file:
            write(tmp_path / name / file, b"never read")
    with pytest.raises(FileNotFoundError, match=f"no train split of {name}"):
        load(name, tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_idx_data_sets_are_complete(real_data: Path, name: str) -> None:
    """The official training split has 60,000 images, about 6,000 of each class, and rows can be held out."""
    training, held_out = hold_out(load(name, real_data), rows=10_000)
    assert training.images.shape == (50_000, 1, 28, 28)
    counts = training.labels.bincount() + held_out.labels.bincount()
    assert len(counts) == 10
    assert counts.min() > 5_400


@pytest.mark.real_data
def test_a_real_instance_is_a_fifth_of_smallnorb(real_data: Path) -> None:
    """Each is 972 pairs of every category of the training split."""
    images = load("smallnorb", real_data, stereo=True)
    for instance in (4, 6, 7, 8, 9):
        held_out = hold_out(images, instances=(instance,))[1]
        assert held_out.labels.bincount().tolist() == [972] * 5
