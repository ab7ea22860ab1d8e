"""The network for a folder of pictures grows with them, within its bounds."""

from dataclasses import replace

import pytest

from matcaps.model import CapsNet, small_norb
from matcaps.training.sizes import UNDECIDED, decided, is_undecided, sized_as


@pytest.mark.parametrize(
    ("size", "side", "image", "crop", "resolution"),
    [
        ("small", 10, 32, 28, 28),
        ("small", 47, 40, 35, 32),
        ("small", 48, 48, 42, 32),
        ("small", 3000, 48, 42, 32),
        ("large", 63, 56, 49, 36),
        ("large", 64, 64, 56, 42),
        ("large", 96, 96, 84, 64),
        ("large", 3000, 96, 84, 64),
    ],
)
def test_images_are_as_large_as_the_pictures_within_bounds(
    size: str, side: int, image: int, crop: int, resolution: int
) -> None:
    """Small networks take images of 32 to 48 pixels, large ones of 32 to 96."""
    network = decided(UNDECIDED, size, side)  # type: ignore[arg-type]
    assert (network.image_size, network.crop_size, network.input_size) == (image, crop, resolution)
    assert network.conv_types_2 == (32 if size == "large" else 16)
    assert network.routing == UNDECIDED.routing


def test_every_size_makes_a_network() -> None:
    """Each image size has a grid that three layers of capsules fit on."""
    for side in range(32, 97, 8):
        CapsNet(replace(decided(UNDECIDED, "large", side), stem_channels=2, primary_types=1, conv_types_1=1))


def test_the_recipe_of_before_is_the_small_one_for_pictures_of_48_pixels() -> None:
    """Its sizes are those of the undecided network."""
    assert decided(UNDECIDED, "small", 48) == UNDECIDED


def test_a_network_with_a_named_size_is_decided() -> None:
    """Classes, channels and routing are no sizes."""
    assert is_undecided(replace(UNDECIDED, classes=("a", "b"), channels=3, batch_norm=False))
    assert not is_undecided(replace(UNDECIDED, image_size=64))
    assert not is_undecided(replace(UNDECIDED, primary_types=4))


def test_sizes_are_copied_without_the_rest() -> None:
    """Classes, channels and routing stay."""
    found = sized_as(UNDECIDED, small_norb())
    assert (found.primary_types, found.resolution, found.pooled_channels) == (32, None, 0)
    assert (found.classes, found.channels, found.routing) == (UNDECIDED.classes, UNDECIDED.channels, UNDECIDED.routing)
