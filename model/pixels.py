"""From images to the network's input: centre crop, shrinking, standardising (paper, section 6)."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from matcaps.model.config import CapsNetConfig

SMALLEST_CONTRAST = 1.0  # grey levels: the noise of an even image is not amplified


def standardise(
    images: UInt8[Tensor, "batch channel row column"] | Float[Tensor, "batch channel row column"],
    config: CapsNetConfig,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch channel resolution resolution"]:
    """The centre crop of each image, with zero mean and unit variance over its pixels and channels.

    The channels of RGB share their mean and variance. With their own, evenly red and evenly blue pictures would be the
    same. So a change of the light's strength is undone, and colour is kept.

    Pixels are in 0–255. If the configuration has a resolution, the crop is shrunk to it first, by averaging areas.

    Raises:
        ValueError: Wrong number of channels, or an image smaller than the crop.
    """
    channels, height, width = images.shape[1:]
    crop = config.crop_size
    if channels != config.channels or min(height, width) < crop:
        raise ValueError(
            f"images must have {config.channels} channels and at least {crop}×{crop} pixels, "
            f"found {channels} of {height}×{width}"
        )
    top, left = (height - crop) // 2, (width - crop) // 2
    pixels = images[:, :, top : top + crop, left : left + crop].to(dtype)
    with torch.autocast(images.device.type, enabled=False):  # half precision would round grey levels
        if config.input_size < crop:
            averaging = area_shares(crop, config.input_size, pixels)
            pixels = averaging @ pixels @ averaging.T
        pixels = pixels - pixels.mean((1, 2, 3), keepdim=True)
        variance = pixels.square().mean((1, 2, 3), keepdim=True)
        return pixels * variance.clamp_min(SMALLEST_CONTRAST**2).rsqrt()


def area_shares(size: int, smaller: int, like: Float[Tensor, "..."]) -> Float[Tensor, "smaller size"]:
    """Weights that average ``size`` pixels in a row to ``smaller`` ones by the areas they share.

    >>> area_shares(3, 2, torch.zeros(()))
    tensor([[0.6667, 0.3333, 0.0000],
            [0.0000, 0.3333, 0.6667]])
    """
    # In units of 1 / smaller of a pixel all edges are integers: an old pixel spans `smaller` units, a new one `size`.
    # Computed on the device: while a CUDA graph is captured, nothing can be copied from the host.
    new = torch.arange(smaller, device=like.device)[:, None]
    old = torch.arange(size, device=like.device)
    common = torch.minimum((new + 1) * size, (old + 1) * smaller) - torch.maximum(new * size, old * smaller)
    return common.clamp_min(0).to(like.dtype) / size
