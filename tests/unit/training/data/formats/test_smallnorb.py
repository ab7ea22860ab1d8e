"""smallNORB is read from original files or a prepared file, or rejected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from matcaps.training.data.formats.smallnorb import load_smallnorb, shrink
from tests.support.writers import TEST, TRAIN, matrix, originals, prepared, write

CLASSES = ("animal", "human", "airplane", "truck", "car")


def write_originals(folder: Path, stem: str = TRAIN, suffix: str = "", **changed: Any) -> dict[str, Any]:
    """Write the three files, some of them with other values; returns what they hold."""
    values = {**originals(11), **changed}
    for part, content in values.items():
        write(folder / f"{stem}-{part}.mat{suffix}", matrix(content))
    return values


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("split", "stem"), [("train", TRAIN), ("test", TEST)])
def test_original_files_are_read(tmp_path: Path, suffix: str, split: str, stem: str) -> None:
    """They give the pairs, categories and all four columns of a split."""
    values = write_originals(tmp_path, stem, suffix)
    images = load_smallnorb(tmp_path, split, stereo=True)  # type: ignore[arg-type]
    assert images.classes == CLASSES
    assert images.images.shape == (11, 2, 48, 48)
    assert np.array_equal(images.images.numpy(), shrink(values["dat"]))
    assert images.labels.tolist() == values["cat"].tolist()
    for column, name in enumerate(["instance", "elevation", "azimuth", "lighting"]):
        assert images.info[name].tolist() == values["info"][:, column].tolist()


def test_a_prepared_file_is_read(tmp_path: Path) -> None:
    """It gives its pairs unchanged, and relative azimuths."""
    values = prepared(11)
    np.savez_compressed(tmp_path / "train_48.npz", **values)  # type: ignore[arg-type]
    images = load_smallnorb(tmp_path, "train", stereo=True)
    assert images.classes == CLASSES
    assert np.array_equal(images.images.numpy(), values["images"])
    assert images.labels.tolist() == values["category"].tolist()
    assert images.info.keys() == {"instance", "elevation", "azimuth_relative", "lighting"}
    for name, column in images.info.items():
        assert column.tolist() == values[name].tolist()


def test_without_stereo_each_camera_is_an_image(tmp_path: Path) -> None:
    """Left and right share label, columns and pair."""
    write_originals(tmp_path)
    pairs = load_smallnorb(tmp_path, "train", stereo=True)
    images = load_smallnorb(tmp_path, "train", stereo=False)
    assert images.images.shape == (22, 1, 48, 48)
    for camera in (0, 1):
        one = images.images[camera::2, 0]
        assert one.equal(pairs.images[:, camera])
        assert images.labels[camera::2].equal(pairs.labels)
        assert images.info["pair"][camera::2].tolist() == list(range(11))
        for name, column in pairs.info.items():
            assert images.info[name][camera::2].equal(column)


@settings(deadline=None)
@given(arrays(np.uint8, (3, 2, 4, 6), elements=st.integers(0, 255)))
def test_shrinking_rounds_the_mean_to_even(images: NDArray[np.uint8]) -> None:
    """A pixel is the mean of its block, rounded to nearest, halves to even."""
    mean = images.reshape(3, 2, 2, 2, 3, 2).astype(np.float64).mean((3, 5))
    assert np.array_equal(shrink(images), np.rint(mean))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"dat": np.zeros((11, 2, 48, 48), np.uint8)}, "dat.mat must hold bytes n×2×96×96, .*11×2×48×48"),
        ({"cat": np.zeros(10, np.int32)}, "cat.mat must hold 11 integers, one per image, found int32 10"),
        ({"cat": np.zeros(11, np.uint8)}, "cat.mat must hold 11 integers, one per image, found uint8 11"),
        ({"cat": np.full(11, 5, np.int32)}, "cat.mat: categories must lie in 0–4, found 0–5"),
        ({"cat": np.full(11, -1, np.int32)}, "cat.mat: categories must lie in 0–4, found -1–0"),
        ({"info": np.zeros((11, 3), np.int32)}, "info.mat must hold 11×4 integers, found int32 11×3"),
        ({"info": np.full((11, 4), 7, np.int32)}, "info.mat: lighting must lie in 0–5, found 0–7"),
        ({"info": np.full((11, 4), 9, np.int32)}, "info.mat: elevation must lie in 0–8, found 0–9"),
    ],
)
def test_original_files_that_do_not_fit_are_rejected(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    """The error has the name of the wrong file."""
    write_originals(tmp_path, **changed)
    with pytest.raises(ValueError, match=complaint):
        load_smallnorb(tmp_path, "train", stereo=True)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"lighting": None}, "lacks the arrays lighting; found azimuth_relative, category"),
        ({"images": np.zeros((11, 48, 48), np.uint8)}, "images must be bytes n×2×48×48, found uint8 11×48×48"),
        ({"images": np.zeros((0, 2, 48, 48), np.uint8)}, "images must be bytes n×2×48×48, found uint8 0×2"),
        ({"instance": np.zeros(10, np.int8)}, "instance must hold 11 integers, found int8 10"),
        ({"instance": np.zeros(11)}, "instance must hold 11 integers, found float64 11"),
        ({"category": np.full(11, 5)}, "category must lie in 0–4, found 0–5"),
        ({"elevation": np.full(11, -1)}, "elevation must lie in 0–8, found -1–0"),
    ],
)
def test_a_prepared_file_with_a_wrong_array_is_rejected(
    tmp_path: Path, changed: dict[str, Any], complaint: str
) -> None:
    """The error has the file, the array, and what was found."""
    values = {name: array for name, array in {**prepared(11), **changed}.items() if array is not None}
    np.savez(tmp_path / "train_48.npz", **values)
    with pytest.raises(ValueError, match=rf"train_48.npz.*{complaint}"):
        load_smallnorb(tmp_path, "train", stereo=True)


@pytest.mark.parametrize("kind", ["empty", "garbage", "cut", "damaged", "single array", "pickled"])
def test_a_broken_prepared_file_is_rejected(tmp_path: Path, kind: str) -> None:
    """It must be a complete npz file of plain arrays."""
    path = tmp_path / "train_48.npz"
    np.savez_compressed(path, **prepared(3))  # type: ignore[arg-type]
    whole = path.read_bytes()
    if kind == "single array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "pickled":
        np.savez(path, images=np.array([None], dtype=object))
    else:
        damaged = whole[:2000] + bytes(200) + whole[2200:]
        contents = {"empty": b"", "garbage": b"garbage" * 99, "cut": whole[:-9], "damaged": damaged}
        path.write_bytes(contents[kind])
    with pytest.raises(ValueError, match=f"{path} is not a complete npz file"):
        load_smallnorb(tmp_path, "train", stereo=True)


def test_original_files_are_preferred(tmp_path: Path) -> None:
    """If both formats are complete, the original files are read, otherwise the prepared file."""
    write_originals(tmp_path)
    np.savez(tmp_path / "train_48.npz", **prepared(5))  # type: ignore[arg-type]
    assert len(load_smallnorb(tmp_path, "train", stereo=True)) == 11
    (tmp_path / f"{TRAIN}-info.mat").unlink()
    assert len(load_smallnorb(tmp_path, "train", stereo=True)) == 5


@pytest.mark.real_data
def test_the_real_prepared_file_was_rounded_to_even(real_data: Path) -> None:
    """It has 5 even grey levels to 3 odd ones, as means of four have that are rounded to even."""
    images = load_smallnorb(real_data / "smallnorb", "train", stereo=True)
    assert images.images.shape == (24_300, 2, 48, 48)
    count = np.bincount(images.images[::16].flatten().numpy(), minlength=256).astype(float)
    # Levels 20–120 have a smooth histogram, so that neighbours would be about as frequent as each other.
    assert count[20:120:2].sum() / count[21:121:2].sum() == pytest.approx(5 / 3, abs=0.1)
