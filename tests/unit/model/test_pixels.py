"""From images to the network's input: the crop, its size, contrast and brightness."""

import pytest
import torch

from matcaps.model.config import tiny
from matcaps.model.pixels import area_shares, standardise
from tests.support.networks import SHRUNK, pictures


@pytest.mark.parametrize("size", [20, 21, 24, 31])
def test_the_network_sees_the_central_crop(size: int) -> None:
    """The pixels around the central crop change nothing."""
    config = tiny()
    image = pictures(config, size=size)
    margin = (size - config.crop_size) // 2
    inside = slice(margin, margin + config.crop_size)
    crop = image[:, :, inside, inside]
    torch.testing.assert_close(standardise(image, config), standardise(crop, config), rtol=0, atol=0)
    elsewhere = torch.full_like(image, 255.0)
    elsewhere[:, :, inside, inside] = crop
    torch.testing.assert_close(standardise(elsewhere, config), standardise(crop, config), rtol=0, atol=0)


def test_autocast_does_not_round_pixels() -> None:
    """Under autocast pixels are standardised to the same bits."""
    image = pictures(SHRUNK)
    with torch.autocast("cpu", torch.bfloat16):
        found = standardise(image, SHRUNK)
    torch.testing.assert_close(found, standardise(image, SHRUNK), rtol=0, atol=0)


def test_a_crop_is_shrunk_by_averaging_areas() -> None:
    """12 pixels from 24 are means of blocks, 18 from 24 are weighted by the areas they cover."""
    image = pictures(SHRUNK).double()
    halves = image.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    shares = area_shares(24, 12, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(shares @ image @ shares.T, halves)
    shares = area_shares(24, 18, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(shares.sum(1), torch.ones(18).double())
    torch.testing.assert_close(shares.sum(0), torch.full((24,), 18 / 24).double())
    shrunk = shares @ image @ shares.T
    first = image[:, :, :2, :2] * torch.tensor([[9, 3], [3, 1]]) / 16
    torch.testing.assert_close(shrunk[:, :, 0, 0], first.sum((2, 3)))
    centred = shrunk - shrunk.mean((1, 2, 3), keepdim=True)
    expected = centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(standardise(image, SHRUNK, torch.float64), expected)


@pytest.mark.parametrize(("contrast", "brightness"), [(0.5, 0.0), (1.0, 40.0), (0.25, -20.0), (3.0, 500.0)])
def test_contrast_and_brightness_change_nothing(contrast: float, brightness: float) -> None:
    """An image with other contrast and brightness is standardised to the same input."""
    config = tiny(channels=2)
    image = pictures(config).double()
    standard = standardise(image, config, torch.float64)
    torch.testing.assert_close(standardise(contrast * image + brightness, config, torch.float64), standard)
    torch.testing.assert_close(standard.mean((1, 2, 3)), torch.zeros(2).double())
    torch.testing.assert_close(standard.square().mean((1, 2, 3)), torch.ones(2).double())


def test_both_cameras_are_standardised_together() -> None:
    """A difference in brightness between the channels is kept."""
    config = tiny(channels=2)
    image = pictures(config)
    image[:, 1] /= 2
    standard = standardise(image, config)
    assert (standard[:, 0].mean((1, 2)) > standard[:, 1].mean((1, 2)) + 0.5).all()
