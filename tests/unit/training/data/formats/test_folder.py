"""A folder of class folders: which images are read, how they are resized, and what is rejected."""

import asyncio
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.backends.artefact import ImageSize
from matcaps.service.images.pool import DecoderPool
from matcaps.training.data import load
from matcaps.training.data.formats.folder import MEASURED, load_folder, shortest_side
from matcaps.training.data.subsets import hold_out
from tests.support.doubles import encoded
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


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_the_service_reads_alike(pets: Path, mode: str, kind: str) -> None:
    """A file of any mode and size gives exactly the same pixels in training and in the service."""
    if (mode, kind) in [("CMYK", "PNG"), ("F", "PNG")]:
        mode = "RGB"
    draws = np.random.default_rng(0)
    for size in (4, 7, 28, 48):
        width, height = (int(side) for side in draws.integers(5, 99, size=2))
        colours = Image.fromarray(draws.integers(0, 256, (height, width, 4)).astype(np.uint8))
        if mode == "I;16":
            image = Image.fromarray(draws.integers(0, 65_536, (height, width)).astype(np.uint16))
        else:
            image = (colours if mode in ("LA", "RGBA") else colours.convert("RGB")).convert(mode)
        content = encoded(image, kind)
        write(pets / "ant" / "one.tif", content)
        decoder = DecoderPool(max_pixels=10_000, max_waiting=1)
        served = asyncio.run(decoder.samples(ImageSize(channels=1, height=size, width=size), [content], 30.0))
        decoder.close()
        assert np.array_equal(load_folder(pets, size).images[0].numpy(), served[0])


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_garbage_in_exif_stops_no_run(pets: Path, suffix: str) -> None:
    """A PNG or WebP whose EXIF cannot be parsed is read as it is, not turned."""
    write(
        pets / "ant" / f"one.{suffix}",
        encoded(Image.new("L", (9, 9), 90), suffix, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    )
    assert np.abs(load_folder(pets, SIZE).images[0].numpy().astype(int) - 90).max() <= 3


def test_entries_that_are_not_read_are_counted(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of other types and subfolders of a class are counted once, with examples; hidden ones are not."""
    load_folder(pets, SIZE)
    assert "not read" not in capsys.readouterr().err
    for number in range(4):
        write(pets / "dog" / f"{number}.gif", b"GIF89a")
    write(pets / "cat" / ".hidden.gif", b"GIF89a")
    save(pets / "cat" / "more" / "1.png", flat(1))
    save(pets / "cat" / "more" / "deep" / "2.png", flat(1))
    assert len(load_folder(pets, SIZE)) == 10
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not read")]
    dog = pets / "dog"
    assert lines == [
        f"not read: 4 files of other types: {dog / '0.gif'}, {dog / '1.gif'}, {dog / '2.gif'}, …",
        f"not read: 1 subfolders with 2 images: {pets / 'cat' / 'more'}",
    ]


def test_the_size_of_a_folder_is_the_median_of_the_shortest_sides(tmp_path: Path) -> None:
    """Files that cannot be read do not count; of many files, evenly spread ones are measured."""
    for number, (height, width) in enumerate([(30, 90), (50, 40), (70, 70), (10, 10), (80, 99)]):
        save(tmp_path / "ab"[number % 2] / f"{number}.png", np.zeros((height, width), np.uint8))
    write(tmp_path / "a" / "broken.png", b"no image")
    assert shortest_side(tmp_path) == 40
    for number in range(3 * MEASURED):
        write(tmp_path / "c" / f"{number}.png", b"")
    save(tmp_path / "c" / "0.png", np.zeros((99, 99), np.uint8))
    assert shortest_side(tmp_path) in (30, 40, 70)


def test_the_size_of_a_folder_without_readable_images_is_unknown(tmp_path: Path) -> None:
    """The error has the number of files."""
    write(tmp_path / "a" / "broken.png", b"no image")
    with pytest.raises(ValueError, match="no image of 1 in the class folders of"):
        shortest_side(tmp_path)
    (tmp_path / "a" / "broken.png").unlink()
    with pytest.raises(ValueError, match="no image of 0 in the class folders of"):
        shortest_side(tmp_path)


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


def test_every_unreadable_file_is_named_and_nothing_is_dropped(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default a folder with unreadable files is refused: their number, each file with its reason, and what to do."""
    write(pets / "cat" / "2.png", b"")
    for number in range(4):
        write(pets / "dog" / f"{number}.png", b"not an image")
    with pytest.raises(ValueError, match=r"^5 of 10 files of .* cannot be read as an image: ") as error:
        load_folder(pets, SIZE)
    text = str(error.value)
    assert f"{pets / 'cat' / '2.png'}: " in text
    assert text.endswith(
        "; all are named above; mend or remove them, or train without them by matcaps train folder --skip-unreadable"
    )
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not read: ")]
    assert len(named) == 5
    assert str(pets / "dog" / "3.png") in named[-1]


def test_unreadable_files_are_skipped_on_request(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others keep their labels and files; those skipped are named and counted."""
    write(pets / "cat" / "1.png", b"")
    write(pets / "dog" / "0.png", _png()[:30])
    images = load(str(pets), Path("elsewhere"), size=SIZE, skip_unreadable=True)
    assert images.labels.tolist() == [0] * 3 + [1] * 5
    assert images.images[:, 0, 0, 0].tolist() == [250, 252, 253, 1, 2, 3, 4, 5]
    assert images.files[:4] == tuple(str(pets / name) for name in ("cat/0.png", "cat/2.png", "cat/3.png", "dog/1.png"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == [str(pets / "cat" / "1.png"), str(pets / "dog" / "0.png")]
    assert lines[2] == f"not read: 2 of 10 files of {pets}; the others are used"


def test_a_class_whose_files_are_all_unreadable_is_rejected(pets: Path) -> None:
    """A class does not vanish because its files are skipped."""
    for path in (pets / "cat").iterdir():
        write(path, b"")
    with pytest.raises(ValueError, match="holds no image that can be read, expected at least one") as error:
        load_folder(pets, SIZE, skip_unreadable=True)
    assert str(pets / "cat") in str(error.value)


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
