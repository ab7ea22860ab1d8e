"""Whether a folder of images is read in grey or in RGB."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from matcaps.cli import main
from matcaps.service.backends.artefact import ImageSize
from matcaps.service.images.pool import DecoderPool
from matcaps.training.config import DataConfig, TrainConfig
from matcaps.training.data import load
from matcaps.training.data.formats.folder import load_folder
from matcaps.training.data.splits import completed, split
from matcaps.training.recipes import RECIPES
from tests.support.doubles import encoded
from tests.support.profiles import rgb_profile
from tests.support.writers import write

SIZE = 8
RED = np.full((SIZE, SIZE, 3), (200, 30, 30), np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write pixels as a PNG."""
    write(path, encoded(Image.fromarray(pixels)))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of grey dogs and cats, ten of each; the dogs are stored as RGB."""
    for number in range(10):
        level = np.full((SIZE, SIZE), 10 * number, np.uint8)
        save(tmp_path / "pets" / "cat" / f"{number}.png", level)
        save(tmp_path / "pets" / "dog" / f"{number}.png", np.dstack([level] * 3))
    return tmp_path / "pets"


def recipe(folder: Path, network_channels: int | None = None, channels: int | None = None) -> TrainConfig:
    """The recipe for a folder, with channels named or left open."""
    config = RECIPES["folder"]
    network = replace(config.network, image_size=24, crop_size=20, resolution=20)
    if network_channels is not None:
        network = replace(network, channels=network_channels)
    data = DataConfig(str(folder), channels=channels)  # type: ignore[arg-type]
    return replace(config, data=data, network=network, optimisation=replace(config.optimisation, batch_size=4))


def test_a_folder_of_grey_images_is_grey(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images whose channels are equal are grey, also if they are stored as RGB; one line says so."""
    images = load_folder(pets, SIZE, None)
    assert images.images.shape == (20, 1, SIZE, SIZE)
    assert capsys.readouterr().err == (
        "grey images (1 channel), since none of 20 is coloured; --channels 3 makes all of them RGB\n"
    )


def test_one_coloured_image_makes_the_folder_rgb(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All images get three channels, grey ones equal channels; one line names the coloured one."""
    save(pets / "dog" / "5.png", RED)
    images = load_folder(pets, SIZE, None)
    assert images.images.shape == (20, 3, SIZE, SIZE)
    assert np.array_equal(images.images[15].numpy(), RED.transpose(2, 0, 1))
    assert (images.images[3] == 30).all()
    assert capsys.readouterr().err == (
        f"RGB images (3 channels), since {pets / 'dog' / '5.png'} is coloured; --channels 1 makes all of them grey\n"
    )


def test_a_slight_tint_is_no_colour(pets: Path) -> None:
    """Differences of a few levels, as profiles and lossy formats make them, leave a folder grey."""
    tint = np.full((SIZE, SIZE, 3), (100, 104, 108), np.uint8)
    save(pets / "dog" / "5.png", tint)
    assert load_folder(pets, SIZE, None).images.shape[1] == 1
    save(pets / "dog" / "5.png", tint + np.array([0, 0, 1], np.uint8))
    assert load_folder(pets, SIZE, None).images.shape[1] == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_named_channels_decide(pets: Path, channels: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With 1 or 3 the images do not decide, and no line is printed."""
    save(pets / "dog" / "5.png", RED)
    images = load(str(pets), Path(), size=SIZE, channels=channels)  # type: ignore[arg-type]
    assert images.images.shape[1] == channels
    assert capsys.readouterr().err == ""
    if channels == 1:
        assert np.array_equal(images.images[15, 0].numpy(), np.asarray(Image.fromarray(RED).convert("L")))


def test_a_broken_image_is_named_whatever_the_channels(pets: Path) -> None:
    """The search for colours passes over a broken image; reading names it."""
    write(pets / "cat" / "0.png", b"not an image")
    with pytest.raises(ValueError, match="cannot be read as an image") as error:
        load_folder(pets, SIZE, None)
    assert "0.png" in str(error.value)


@pytest.mark.parametrize(
    ("network_channels", "channels", "expected"),
    [(None, None, 3), (None, 1, 1), (None, 3, 3), (1, None, 1), (3, None, 3), (1, 1, 1), (3, 3, 3)],
)
def test_either_option_overrides_the_images(
    pets: Path, network_channels: int | None, channels: int | None, expected: int
) -> None:
    """The network gets the channels of --channels or --network.channels, otherwise those of the images."""
    save(pets / "dog" / "5.png", RED)
    config = recipe(pets, network_channels, channels)
    training, held_out = split(config)
    assert training.images.shape[1] == held_out.images.shape[1] == expected
    network = completed(config.network, training)
    assert (network.channels, network.classes) == (expected, ("cat", "dog"))


def test_options_that_differ_are_refused(pets: Path) -> None:
    """Two options that name different channels are an error that names both."""
    with pytest.raises(ValueError, match=r"--channels 1 and --network\.channels 3 differ"):
        split(recipe(pets, 3, 1))


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["mnist", "--channels=3"], "channels is for a folder of images, got channels 3 with mnist", 2),
        (["folder", "--data=x", "--channels=2"], "--channels", 2),
        (["folder", "--data=x", "--network.channels=4"], "channels must be one of 1 (grey), 2 (a stereo pair), 3", 2),
        (["folder", "--data=x", "--hue=181"], "hue must lie between 0 and 180 degrees, got 181.0", 2),
        (["folder", "--data=x", "--saturation", "1.5", "0.5"], "saturation must be a range of factors", 2),
        (
            ["folder", "--data=pets", "--hue=10", "--batch-size=4"],
            "--hue and --saturation change the colours of RGB",
            1,
        ),
    ],
)
def test_wrong_options_of_colour_are_one_line(
    pets: Path,
    options: list[str],
    words: str,
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the option and what came; nothing is written."""
    monkeypatch.chdir(pets.parent)
    assert main(["train", *options]) == status
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (pets.parent / "runs").exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_the_service_reads_colours_alike(pets: Path, mode: str) -> None:
    """A file of any mode and size gives exactly the same RGB pixels in training and in the service."""
    draws = np.random.default_rng(0)
    for size in (7, 28):
        width, height = (int(side) for side in draws.integers(5, 99, size=2))
        image = Image.fromarray(draws.integers(0, 256, (height, width, 4)).astype(np.uint8)).convert(mode)
        content = encoded(image, "TIFF", icc_profile=rgb_profile(1.8))
        write(pets / "ant" / "one.tif", content)
        decoder = DecoderPool(max_pixels=10_000, max_waiting=1)
        served = asyncio.run(decoder.samples(ImageSize(channels=3, height=size, width=size), [content], 30.0))
        decoder.close()
        assert np.array_equal(load_folder(pets, size, 3).images[0].numpy(), served[0])
