"""Both formats of smallNORB give the same images, and both cameras of a pair stay together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matcaps.training.data import hold_out, load
from matcaps.training.data.formats.smallnorb import load_smallnorb
from tests.support.writers import TRAIN, matrix, originals, write


def write_both(folder: Path, pairs: int, suffix: str) -> None:
    """Write the same random images as original files and as a prepared file."""
    values = originals(pairs)
    for part, content in values.items():
        write(folder / "originals" / f"{TRAIN}-{part}{suffix}", matrix(content))
    instance, elevation, azimuth, lighting = values["info"].astype(np.int8).T
    (folder / "prepared").mkdir()
    np.savez(
        folder / "prepared" / "train_48.npz",
        images=np.rint(values["dat"].reshape(pairs, 2, 48, 2, 48, 2).mean((3, 5))).astype(np.uint8),
        category=values["cat"].astype(np.int8),
        instance=instance,
        elevation=elevation,
        azimuth_relative=azimuth // 2,
        lighting=lighting,
    )


@pytest.mark.parametrize("suffix", [".mat", ".mat.gz"])
@pytest.mark.parametrize("stereo", [False, True])
def test_both_formats_give_the_same_images(tmp_path: Path, suffix: str, stereo: bool) -> None:
    """Images, labels and columns are equal, except for the unit of the azimuth."""
    write_both(tmp_path, 13, suffix)
    one, other = (load_smallnorb(tmp_path / form, "train", stereo=stereo) for form in ("originals", "prepared"))
    assert one.images.equal(other.images)
    assert one.labels.equal(other.labels)
    assert one.info.pop("azimuth").equal(2 * other.info.pop("azimuth_relative"))
    assert one.info.keys() == other.info.keys()
    assert all(one.info[name].equal(other.info[name]) for name in one.info)


@pytest.mark.parametrize("form", ["originals", "prepared"])
@pytest.mark.parametrize(
    "way", [{"instances": (6, 7)}, {"rows": 20}, {"share": 0.3}], ids=["instances", "rows", "share"]
)
def test_both_cameras_are_trained_on_or_both_held_out(tmp_path: Path, form: str, way: dict[str, Any]) -> None:
    """Whichever way images are held out, a pair is never split."""
    write_both(tmp_path, 60, ".mat")
    training, held = hold_out(load_smallnorb(tmp_path / form, "train", stereo=False), **way)
    sides = [set(side.info["pair"].tolist()) for side in (training, held)]
    assert not sides[0] & sides[1]
    assert [len(training), len(held)] == [2 * len(side) for side in sides]
    assert sides[0] | sides[1] == set(range(60))


@pytest.mark.real_data
def test_the_real_split_is_complete(real_data: Path) -> None:
    """It has 24,300 pairs, evenly by category and instance, and the images of a pair differ."""
    images = load("smallnorb", real_data, stereo=True)
    assert images.images.shape == (24_300, 2, 48, 48)
    assert images.labels.bincount().tolist() == [4_860] * 5
    assert images.info["instance"].unique(return_counts=True)[1].tolist() == [4_860] * 5
    assert not (images.images[:, 0] == images.images[:, 1]).flatten(1).all(1).any()


@pytest.mark.real_data
def test_a_real_instance_is_held_out_of_all_categories(real_data: Path) -> None:
    """It is 9,720 of the 48,600 images, evenly from all categories."""
    training, held = hold_out(load("smallnorb", real_data), instances=(9,))
    assert (len(training), len(held)) == (38_880, 9_720)
    assert held.labels.bincount().tolist() == [1_944] * 5
    assert held.info["instance"].unique().tolist() == [9]
    assert training.info["instance"].unique().tolist() == [4, 6, 7, 8]
