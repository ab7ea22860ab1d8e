"""Pictures of nothing are drawn by the generator alone, fit the images, and differ from them."""

import pytest
import torch

from matcaps.training.data.negatives import (
    KINDS,
    Draw,
    even,
    noise,
    pictures_of_nothing,
    shuffled_patches,
    shuffled_pixels,
)


def digits(count: int = 64, channels: int = 1) -> torch.Tensor:
    """Images with a bright ring on black."""
    rows, columns = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    radius = (rows.square() + columns.square()).sqrt()
    ring = (255 * (radius - 8).abs().lt(2)).to(torch.uint8)
    return ring.expand(count, channels, 28, 28).contiguous()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_there_is_one_picture_for_each_image(channels: int) -> None:
    """They have the images' type and shape, and the images stay as they were."""
    images = digits(channels=channels)
    drawn = pictures_of_nothing(images, seeded())
    assert drawn.shape == images.shape
    assert drawn.dtype == torch.uint8
    assert torch.equal(images, digits(channels=channels))
    assert (drawn != images).flatten(1).any(1).all()


def test_the_generator_decides_everything() -> None:
    """The same seed gives the same pictures, another seed others."""
    one, same, other = (pictures_of_nothing(digits(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_each_kind_fits_the_image(kind: Draw, channels: int) -> None:
    """Each kind has the image's shape, also with two cameras, and varies from draw to draw."""
    image = digits(1, channels)[0].float()
    generator = seeded()
    drawn = [kind(image, generator) for _ in range(12)]
    assert all(picture.shape == image.shape and picture.isfinite().all() for picture in drawn)
    assert len({tuple(picture.flatten().tolist()) for picture in drawn}) > 3


def test_shuffled_pictures_keep_the_pixels() -> None:
    """Patches and pixels change their places, not their levels."""
    image = digits(1)[0].float()
    for kind in (shuffled_patches, shuffled_pixels):
        assert torch.equal(kind(image, seeded()).flatten().sort().values, image.flatten().sort().values)


def test_even_pictures_have_one_level() -> None:
    """Black and white are among them, since people send them most often."""
    image, generator = digits(1)[0].float(), seeded()
    levels = {tuple(even(image, generator).unique().tolist()) for _ in range(40)}
    assert all(len(level) == 1 for level in levels)
    assert {(0.0,), (255.0,)} <= levels


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if "shuffled" not in kind.__name__], ids=lambda kind: kind.__name__
)
def test_negatives_of_rgb_have_colours(kind: Draw) -> None:
    """Drawn kinds are coloured at least sometimes for RGB; for a stereo pair both cameras see the same, but noise."""
    generator = seeded()
    assert any((spread(kind(digits(1, 3)[0].float(), generator)) > 20).any() for _ in range(12))
    if kind is not noise:
        assert all((spread(kind(digits(1, 2)[0].float(), generator)) == 0).all() for _ in range(12))


def spread(image: torch.Tensor) -> torch.Tensor:
    """The difference between the channels of each pixel."""
    return image.amax(0) - image.amin(0)


def test_shuffled_pixels_keep_their_colours() -> None:
    """The colours of an image stay together when its pixels or patches are shuffled."""
    image = torch.arange(12.0).view(3, 2, 2).repeat_interleave(14, 1).repeat_interleave(14, 2)
    colours = {tuple(colour) for colour in image.flatten(1).T.tolist()}
    for kind in (shuffled_patches, shuffled_pixels):
        assert {tuple(colour) for colour in kind(image, seeded()).flatten(1).T.tolist()} == colours
