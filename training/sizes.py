"""The network of the recipe ``folder``: how many capsules, by ``--size``, and how large images, by the pictures."""

from dataclasses import replace
from typing import Literal

from matcaps.model import CapsNetConfig, RoutingConfig, small_norb, small_norb_small
from matcaps.training.config import FOLDER_CHANNELS, FOLDER_CLASSES

UNDECIDED = replace(
    small_norb_small(channels=FOLDER_CHANNELS),
    classes=FOLDER_CLASSES,
    crop_size=42,
    resolution=32,
    pooled_channels=32,
    routing=RoutingConfig(density_temperature=4.0),
)
"""The network of the recipe before its size is decided."""

SMALLEST, LARGEST = 32, {"small": 48, "large": 96}
_CAPSULES = ("stem_channels", "primary_types", "conv_types_1", "conv_types_2")
_SIZES = ("image_size", "crop_size", "resolution", "pooled_channels", *_CAPSULES)


def is_undecided(network: CapsNetConfig) -> bool:
    """Whether no option named one of the sizes, so that they follow from ``--size`` and the pictures."""
    return all(getattr(network, name) == getattr(UNDECIDED, name) for name in _SIZES)


def decided(network: CapsNetConfig, size: Literal["small", "large"], shortest_side: int) -> CapsNetConfig:
    """The network for pictures of which half have at least this shortest side.

    The images are as large as the pictures, in steps of 8 pixels, up to 48×48 or 96×96. As for smallNORB, the network
    sees the centre seven eighths. What is above 32×32 of these is shrunk, to two thirds of the image.

    >>> [decided(UNDECIDED, "large", side).image_size for side in (20, 50, 4000)]
    [32, 48, 96]
    """
    image_size = min(LARGEST[size], max(SMALLEST, shortest_side // 8 * 8))
    crop_size = image_size * 7 // 8
    resolution = min(crop_size, max(32, image_size // 3 * 2))
    like = small_norb_small() if size == "small" else small_norb()
    capsules = {name: getattr(like, name) for name in _CAPSULES}
    return replace(network, image_size=image_size, crop_size=crop_size, resolution=resolution, **capsules)


def sized_as(network: CapsNetConfig, other: CapsNetConfig) -> CapsNetConfig:
    """The network with the sizes of another one."""
    return replace(network, **{name: getattr(other, name) for name in _SIZES})
