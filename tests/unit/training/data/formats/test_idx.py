"""Idx files are read completely or rejected."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from matcaps.training.data.formats.idx import IMAGES_MAGIC, load_idx, read_idx
from tests.support.writers import idx, write

DIGITS = tuple("0123456789")
PIXELS = np.random.default_rng(0).integers(256, size=(7, 5, 4)).astype(np.uint8)
LABELS = np.array([0, 9, 3, 3, 1, 8, 5], np.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize(("split", "stem"), [("train", "train"), ("test", "t10k")])
def test_a_split_is_read_under_any_of_its_names(tmp_path: Path, suffix: str, dot: str, split: str, stem: str) -> None:
    """Files may be compressed, and have a dash or a dot in their names."""
    write(tmp_path / f"{stem}-images{dot}idx3-ubyte{suffix}", idx(PIXELS))
    write(tmp_path / f"{stem}-labels{dot}idx1-ubyte{suffix}", idx(LABELS))
    images = load_idx("mnist", tmp_path, split, DIGITS)  # type: ignore[arg-type]
    assert images.images.shape == (7, 1, 5, 4)
    assert np.array_equal(images.images.squeeze(1).numpy(), PIXELS)
    assert images.labels.tolist() == LABELS.tolist()
    assert images.classes == DIGITS


WHOLE = idx(PIXELS)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is truncated: an idx header takes 16 bytes, found 0"),
        (WHOLE[:15], "is truncated: an idx header takes 16 bytes, found 15"),
        (WHOLE[:-1], "is truncated: 7×5×4 values take 140 bytes, found 139"),
        (WHOLE + b"\n", "is too long: 7×5×4 values take 140 bytes, found 141"),
        (b"\x89PNG" + WHOLE, "magic number 0x00000803, found 0x89504e47"),
        (idx(LABELS) + bytes(16), "magic number 0x00000803, found 0x00000801"),
        (idx(PIXELS[:0]), "has no values: its header says 0×5×4"),
        # 2³¹ · 2³¹ · 4 is 0 in 64 bits.
        (bytes.fromhex("00000803 80000000 80000000 00000004"), "is truncated.*found 0"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_broken_file_is_rejected(tmp_path: Path, suffix: str, content: bytes, complaint: str) -> None:
    """The error has the file's name, what was expected, and what was found."""
    path = tmp_path / f"broken{suffix}"
    write(path, content)
    with pytest.raises(ValueError, match=f"{path} .*{complaint}"):
        read_idx(path, IMAGES_MAGIC)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE,
        gzip.compress(WHOLE)[:-4],
        gzip.compress(WHOLE)[:60],
        gzip.compress(WHOLE) + b"tail",
        gzip.compress(WHOLE)[:-8] + bytes(8),
    ],
    ids=["not gzip", "cut in the trailer", "cut in the data", "more after it", "wrong sum"],
)
def test_an_incomplete_gzip_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    """A ``.gz`` file must be exactly one complete gzip stream."""
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is not a complete gzip file"):
        read_idx(path, IMAGES_MAGIC)


def test_different_numbers_of_images_and_labels_are_rejected(tmp_path: Path) -> None:
    """The error has both files and both numbers."""
    write(tmp_path / "train-images-idx3-ubyte", idx(PIXELS))
    write(tmp_path / "train-labels-idx1-ubyte", idx(LABELS[:6]))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte has 7 images, .*idx1-ubyte 6 labels"):
        load_idx("mnist", tmp_path, "train", DIGITS)


def test_a_label_out_of_range_is_rejected(tmp_path: Path) -> None:
    """The error has the file and the range."""
    write(tmp_path / "train-images-idx3-ubyte", idx(PIXELS))
    write(tmp_path / "train-labels-idx1-ubyte", idx(LABELS + np.uint8(1)))
    with pytest.raises(ValueError, match="labels-idx1-ubyte: labels must lie in 0–9, found 0–10"):
        load_idx("mnist", tmp_path, "train", DIGITS)
