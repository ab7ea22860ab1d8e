"""Random variants of images, whole batches at once: the paper's crop, brightness and contrast (section 6), and what
makes new shapes of few objects: warps, turns, elastic fields, mirror images and mixtures."""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

SPACING = 10  # about so many pixels between the points of an elastic field: coarser than edges, finer than a toy
STRONGEST_ELASTIC = 2.0  # pixels: one image in ten has a fold somewhere then; at 1.5 it is one in a hundred


@dataclass(frozen=True)
class Augment:
    """Random variants of images, each drawn for itself; all channels of an image share its draw.

    Attributes:
        crop: Height and width of the random crop, in pixels.
        shift: Edge pixels repeated around the image before it is cropped.
        brightness: Largest shift of all pixels, in grey levels, either way.
        contrast: Range of the factor by which pixels move away from their mean.
        warp: Largest deviation of each element of the random 2×2 matrix that the crop is seen through from the
            identity's: it turns, stretches and slants.
        rotation: Largest angle that the crop is turned by, either way, in degrees: from high above, an object's azimuth
            is a turn of its picture.
        elastic: Standard deviation of a smooth random field by which the places that pixels are taken from move, in
            pixels, each way (Simard et al., ICDAR 2003): shapes bend.
        mirror: Whether every other image is seen in a mirror. The cameras of a stereo pair change places then: the
            left one sees in the mirror what the right one saw.

    >>> digits = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    >>> Augment(crop=28, shift=2)(digits, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """

    crop: int
    shift: int = 0
    brightness: float = 0.0
    contrast: tuple[float, float] = (1.0, 1.0)
    warp: float = 0.0
    rotation: float = 0.0
    elastic: float = 0.0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.crop < 1 or self.shift < 0 or self.brightness < 0.0:
            raise ValueError(
                f"crop must be positive, shift and brightness not negative, "
                f"found {self.crop}, {self.shift} and {self.brightness}"
            )
        if not 0.0 < self.contrast[0] <= self.contrast[1]:
            raise ValueError(f"contrast must be a range of positive factors, found {self.contrast}")
        if not 0.0 <= self.warp < 0.5:
            raise ValueError(f"warp must lie between 0 and 0.5, or shapes would fold, found {self.warp}")
        if not 0.0 <= self.rotation <= 180.0:
            raise ValueError(f"rotation must lie between 0 and 180 degrees, found {self.rotation}")
        if not 0.0 <= self.elastic <= STRONGEST_ELASTIC:
            raise ValueError(
                f"elastic must lie between 0 and {STRONGEST_ELASTIC}, or many shapes would fold, found {self.elastic}"
            )

    def __call__(
        self, images: UInt8[Tensor, "batch channel row column"], generator: torch.Generator
    ) -> Float[Tensor, "batch channel crop crop"]:
        """Pixels in 0–255, not standardised: the network does that.

        The generator lives on the CPU, whatever the device of the images: the same draws everywhere.

        Raises:
            ValueError: An image is smaller than the crop.
        """
        _refuse_smaller(images, self.crop - 2 * self.shift)
        pixels = functional.pad(images.float(), [self.shift] * 4, mode="replicate")
        batch, _, height, width = pixels.shape
        there = partial(Tensor.to, device=images.device, non_blocking=True)  # or each copy would wait for the last step

        top = there(torch.randint(height - self.crop + 1, (batch,), generator=generator))
        left = there(torch.randint(width - self.crop + 1, (batch,), generator=generator))
        if self.warp or self.rotation or self.elastic:
            matrices = torch.eye(2) + self.warp * (2.0 * torch.rand(batch, 2, 2, generator=generator) - 1.0)
            if self.rotation:
                turns = math.radians(self.rotation) * (2.0 * torch.rand(batch, generator=generator) - 1.0)
                matrices = matrices @ _turned(turns)
            offsets = _seen_through(there(matrices), self.crop)
            if self.elastic:
                points = max(2, round(self.crop / SPACING) + 1)
                field = self.elastic * torch.randn(batch, 2, points, points, generator=generator)
                offsets = offsets + _smooth(there(field), self.crop)
            pixels = _resampled(pixels, top, left, offsets)
        else:
            pixels = _crop(pixels, top, left, self.crop)
        if self.mirror:
            mirrored = there(torch.rand(batch, 1, 1, 1, generator=generator)) < 0.5
            pixels = torch.where(mirrored, pixels.flip(1, 3), pixels)

        low, high = self.contrast
        factor = low + (high - low) * there(torch.rand(batch, 1, 1, 1, generator=generator))
        shift = self.brightness * (2.0 * there(torch.rand(batch, 1, 1, 1, generator=generator)) - 1.0)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        # What leaves 0–255 is clipped, as in a camera; what does not is undone when the network standardises.
        return ((pixels - mean) * factor + mean + shift).clamp(0.0, 255.0)


class Mixture(NamedTuple):
    """Images that are each the weighted mean of an image and its partner, and what they show.

    Attributes:
        images: [batch, channel, row, column].
        partners: Row of each image's partner in the batch, int64 [batch].
        share: Weight of the image itself; its partner has the rest.
    """

    images: Tensor
    partners: Tensor
    share: float


def mix(images: Float[Tensor, "batch channel row column"], alpha: float, generator: torch.Generator) -> Mixture:
    """Mixup (Zhang et al., ICLR 2018): a batch mixed with itself in another order, by one share from Beta(α, α).

    With α = 0 each image stays as it is.
    """
    if not alpha:
        return Mixture(images, torch.arange(len(images), device=images.device), 1.0)
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))  # torch's distributions have no generators
    partners = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    return Mixture(share * images + (1.0 - share) * images[partners], partners, share)


def _crop(pixels: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """A window of its own of each image, as a gather of its rows and columns."""
    extent = torch.arange(size, device=pixels.device)
    rows = (top[:, None] + extent)[:, None, :, None]
    columns = (left[:, None] + extent)[:, None, None, :]
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None, None]
    channel = torch.arange(pixels.shape[1], device=pixels.device)[None, :, None, None]
    return pixels[image, channel, rows, columns]


def _turned(angles: Float[Tensor, " batch"]) -> Float[Tensor, "batch 2 2"]:
    """Rotations by angles in radians."""
    cosines, sines = angles.cos(), angles.sin()
    return torch.stack([cosines, -sines, sines, cosines], dim=-1).view(-1, 2, 2)


def _seen_through(matrices: Float[Tensor, "batch 2 2"], size: int) -> Float[Tensor, "batch size size 2"]:
    """Where each pixel of a window is seen, as (x, y) from its centre, through a 2×2 matrix."""
    extent = torch.arange(size, device=matrices.device) - (size - 1) / 2.0
    offsets = torch.stack(torch.meshgrid(extent, extent, indexing="xy"), dim=-1)
    return torch.einsum("bij,rcj->brci", matrices, offsets)


def _smooth(field: Float[Tensor, "batch 2 point point"], size: int) -> Float[Tensor, "batch size size 2"]:
    """A field's values at each pixel of a window, whose corners have those of its corners."""
    return functional.interpolate(field, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _resampled(pixels: Tensor, top: Tensor, left: Tensor, offsets: Float[Tensor, "batch size size 2"]) -> Tensor:
    """The same windows, each pixel taken at an offset from the window's centre; beyond the edge its pixels repeat."""
    size = offsets.shape[1]
    centres = torch.stack([left, top], dim=-1)[:, None, None, :] + (size - 1) / 2.0
    columns, rows = (2.0 * (offsets + centres) + 1.0).unbind(-1)
    # grid_sample counts from -1 to 1, edge to edge
    grid = torch.stack([columns / pixels.shape[3] - 1.0, rows / pixels.shape[2] - 1.0], dim=-1)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _refuse_smaller(images: Tensor, size: int) -> None:
    height, width = images.shape[2:]
    if min(height, width) < size:
        raise ValueError(f"images must have at least {size}×{size} pixels, found {height}×{width}")
