"""A folder of class folders: which images are read, how they are resized, and what is rejected."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.images.decode import decode, open_image
from matcaps.service.images.fit import fit as fit_for_service
from matcaps.training.data import load
from matcaps.training.data.formats.folder import fit, grey, load_folder
from matcaps.training.data.subsets import hold_out
from tests.support.writers import write

SIZE = 8


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    """Write pixels as an image in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def flat(level: int) -> NDArray[np.uint8]:
    """A grey image of one level, in the size that the tests load."""
    return np.full((SIZE, SIZE), level, np.uint8)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of 6 dark dogs and 4 light cats."""
    for number in range(6):
        save(tmp_path / "pets" / "dog" / f"{number}.png", flat(number))
    for number in range(4):
        save(tmp_path / "pets" / "cat" / f"{number}.png", flat(250 + number))
    return tmp_path / "pets"


def test_classes_are_the_folders_in_alphabetical_order(pets: Path) -> None:
    """Each folder is a class; images are in the order of class and name."""
    images = load(str(pets), Path("elsewhere"), size=SIZE)
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0] * 4 + [1] * 6
    assert images.images.shape == (10, 1, SIZE, SIZE)
    assert images.images[:, 0, 0, 0].tolist() == [250, 251, 252, 253, 0, 1, 2, 3, 4, 5]


def test_other_files_are_ignored(pets: Path) -> None:
    """Other suffixes, hidden files and folders, and files beside the class folders are not read."""
    for name in ("README.txt", "dog/notes.md", "dog/.hidden.png", ".git/config.png"):
        write(pets / name, b"not an image")
    assert len(load_folder(pets, SIZE)) == 10


def test_suffixes_are_read_in_capitals_too(pets: Path) -> None:
    """A suffix may be .PNG or .JPG."""
    save(pets / "dog" / "HERE.PNG", flat(9))
    save(pets / "dog" / "there.JPG", flat(9))
    assert len(load_folder(pets, SIZE)) == 12


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "pgm"])
def test_lossless_formats_are_read_exactly(pets: Path, suffix: str) -> None:
    """The pixels are those that were written."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    save(pets / "ant" / f"one.{suffix}", pixels)
    assert np.array_equal(load_folder(pets, SIZE).images[0, 0].numpy(), pixels)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_lossy_formats_are_read_nearly(pets: Path, suffix: str) -> None:
    """A smooth image keeps its levels within 8."""
    pixels = np.add.outer(np.arange(0, 64, 8), np.arange(100, 164, 8)).astype(np.uint8)
    save(pets / "ant" / f"one.{suffix}", pixels)
    assert np.abs(load_folder(pets, SIZE).images[0, 0].numpy() - pixels.astype(int)).max() <= 8


@pytest.mark.parametrize(
    ("image", "level"),
    [
        (lambda: Image.new("L", (4, 4), 77), 77),
        (lambda: Image.new("1", (4, 4), 1), 255),
        (lambda: Image.new("RGB", (4, 4), (90, 90, 90)), 90),
        (lambda: Image.new("RGBA", (4, 4), (90, 90, 90, 0)), 255),
        (lambda: Image.new("RGBA", (4, 4), (90, 90, 90, 255)), 90),
        (lambda: Image.new("LA", (4, 4), (0, 0)), 255),
        (lambda: Image.new("CMYK", (4, 4), (0, 0, 0, 0)), 255),
        (lambda: Image.new("RGB", (4, 4), (60, 60, 60)).quantize(2), 60),
        (lambda: Image.fromarray(np.full((4, 4), 77 * 257, np.uint16)), 77),
        (lambda: Image.fromarray(np.full((4, 4), 70_000, np.int32)), 255),
        (lambda: Image.fromarray(np.full((4, 4), 0.2, np.float32)), 51),
        (lambda: Image.fromarray(np.full((4, 4), 51.0, np.float32)), 51),
    ],
    ids=["L", "1", "RGB", "clear", "opaque", "LA", "CMYK", "P", "16 bits", "32 bits", "float to 1", "float to 255"],
)
def test_every_mode_becomes_grey(image: Callable[[], Image.Image], level: int) -> None:
    """Bits, palettes, RGB, CMYK, transparency on white, 16 bits and floats become 8-bit grey."""
    result = grey(image())
    assert result.mode == "L"
    assert (np.asarray(result) == level).all()


def test_exif_orientation_is_applied(pets: Path) -> None:
    """An image with an EXIF orientation is turned before its square is cropped."""
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top is at the right
    (pets / "ant").mkdir()
    Image.fromarray(pixels).save(pets / "ant" / "one.png", exif=exif)
    upright = load_folder(pets, SIZE).images[0, 0]
    assert (upright[:, -1] == 255).all()
    assert (upright[:, :-1] == 0).all()


@pytest.mark.parametrize("transposed", [False, True])
def test_the_centre_square_is_taken(transposed: bool) -> None:
    """An oblong image loses as much on one side as on the other."""
    pixels = np.zeros((4, 10), np.uint8)
    pixels[:, 3:7] = np.arange(16).reshape(4, 4)
    image = Image.fromarray(pixels.T if transposed else pixels)
    square = np.arange(16).reshape(4, 4)
    assert np.array_equal(fit(image, 4), square.T if transposed else square)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_the_service_resizes_alike(mode: str) -> None:
    """An image of any mode and size is resized alike in service and training, within one grey level."""
    draws = np.random.default_rng(0)
    for size in (4, 7, 28, 48):
        width, height = (int(side) for side in draws.integers(5, 99, size=2))
        colours = Image.fromarray(draws.integers(0, 256, (height, width, 4)).astype(np.uint8))
        if mode == "I;16":
            image = Image.fromarray(draws.integers(0, 65_536, (height, width)).astype(np.uint16))
        else:
            image = (colours if mode in ("LA", "RGBA") else colours.convert("RGB")).convert(mode)
        buffer = BytesIO()
        image.save(buffer, "tiff")
        pixels = decode(open_image(buffer.getvalue(), max_pixels=10_000))
        served = fit_for_service(pixels, size, size)
        assert np.abs(fit(grey(image), size) - served.astype(int)).max() <= 1


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_shrinking_averages_areas(factor: int, seed: int) -> None:
    """An image of a whole multiple of the size is shrunk to the mean of each area, within half a level."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4 * factor, 4 * factor), dtype=np.uint8)
    means = pixels.reshape(4, factor, 4, factor).astype(float).mean((1, 3))
    assert np.abs(fit(Image.fromarray(pixels), 4) - means).max() <= 0.501


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 255))
def test_a_uniform_image_stays_uniform(width: int, height: int, size: int, level: int) -> None:
    """An image of one level has only that level after resizing."""
    assert (fit(Image.new("L", (width, height), level), size) == level).all()


def test_a_missing_folder_is_rejected(tmp_path: Path) -> None:
    """A name that is neither a data set nor a folder is rejected with the known names."""
    with pytest.raises(FileNotFoundError) as error:
        load(str(tmp_path / "cats"), tmp_path)
    assert f"{tmp_path / 'cats'} is neither a known data set (smallnorb, mnist, fashion-mnist)" in str(error.value)


def test_a_folder_has_no_test_split(pets: Path) -> None:
    """A test split of a folder is rejected with what to do instead."""
    with pytest.raises(ValueError, match="has no official test split; load the folder of test images by its path"):
        load(str(pets), Path(), "test")


@pytest.mark.parametrize("classes", [[], ["dog"]])
def test_fewer_than_two_classes_are_rejected(tmp_path: Path, classes: list[str]) -> None:
    """The error has the number of class folders."""
    for name in classes:
        save(tmp_path / name / "1.png", flat(0))
    save(tmp_path / "loose.png", flat(0))
    with pytest.raises(ValueError, match=f"must hold at least two class folders, got {len(classes)}") as error:
        load_folder(tmp_path, SIZE)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_a_class_without_images_is_rejected(pets: Path, content: str | None) -> None:
    """The error has the folder and the supported suffixes."""
    (pets / "eel").mkdir()
    if content:
        write(pets / "eel" / content, b"not an image")
    with pytest.raises(ValueError, match=r"holds no images \(\.bmp, ") as error:
        load_folder(pets, SIZE)
    assert str(pets / "eel") in str(error.value)


def _png() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"not an image", _png()[:30], _png()[:2000], _png()[:100] + bytes(500) + _png()[600:]]
)
def test_a_broken_image_is_rejected(pets: Path, content: bytes) -> None:
    """A file that is empty, not an image, truncated or altered is rejected with its name."""
    path = pets / "dog" / "3.png"
    write(path, content)
    with pytest.raises(ValueError, match="cannot be read as an image") as error:
        load_folder(pets, SIZE)
    assert str(path) in str(error.value)


def test_a_folder_with_the_name_of_an_image_is_rejected(pets: Path) -> None:
    """The error has the folder's name."""
    (pets / "dog" / "more.png").mkdir()
    with pytest.raises(ValueError, match="cannot be read as an image") as error:
        load_folder(pets, SIZE)
    assert str(pets / "dog" / "more.png") in str(error.value)


def test_rows_are_held_out_by_the_seed(pets: Path) -> None:
    """A folder's images can be held out by rows too."""
    images = load_folder(pets, SIZE)
    training, held = hold_out(images, rows=3, seed=1)
    assert (len(training), len(held)) == (7, 3)
    assert torch.equal(held.images, hold_out(images, rows=3, seed=1)[1].images)
