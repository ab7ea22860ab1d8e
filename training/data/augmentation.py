"""Random variants of whole batches of images.

Crop, brightness and contrast are the paper's (section 6). Warps, rotations, elastic fields, mirror images and mixtures
make new shapes out of few objects.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from matcaps.training.config import AugmentationConfig

# Luma and two colour differences of RGB (NTSC): hue is an angle and saturation a length in the plane of the two.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
SPACING = 10  # pixels between the points of an elastic field, about: coarser than edges, finer than a toy


class Augment:
    """Random variants of images, drawn for each image; all channels of an image share its draw.

    Args:
        crop: Height and width of the random crop, in pixels.
        options: How strong the variants are. ``shift`` repeats the edge pixels around the image before it is cropped.
            ``warp`` and ``rotation`` distort the crop through a random 2×2 matrix. ``elastic`` moves the places that
            pixels are taken from by a smooth random field (Simard et al., ICDAR 2003). ``mirror`` swaps the channels
            of a stereo pair, since in a mirror the left camera sees what the right one saw. ``hue`` and ``saturation``
            turn and stretch the colours of RGB around grey, and keep their luma.

    Raises:
        ValueError: The crop is not positive.

    >>> digits = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    >>> Augment(28, AugmentationConfig(shift=2))(digits, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """

    def __init__(self, crop: int, options: AugmentationConfig) -> None:
        if crop < 1:
            raise ValueError(f"crop must be at least 1 pixel, got {crop}")
        self.crop, self.options = crop, options

    def __call__(
        self, images: UInt8[Tensor, "batch channel row column"], generator: torch.Generator
    ) -> Float[Tensor, "batch channel crop crop"]:
        """Augment a batch; pixels stay in 0–255, the network standardises them.

        The generator lives on the CPU, so that every device gets the same draws.

        Raises:
            ValueError: An image is smaller than the crop, or hue or saturation is to change images without colours.
        """
        options = self.options
        require_colours(images, options)
        _require_size(images, self.crop - 2 * options.shift)
        pixels = functional.pad(images.float(), [options.shift] * 4, mode="replicate")
        batch, _, height, width = pixels.shape
        # Without non_blocking each copy would wait for the GPU to finish the step before.
        to_device = partial(Tensor.to, device=images.device, non_blocking=True)

        top = to_device(torch.randint(height - self.crop + 1, (batch,), generator=generator))
        left = to_device(torch.randint(width - self.crop + 1, (batch,), generator=generator))
        if options.warp or options.rotation or options.elastic:
            matrices = torch.eye(2) + options.warp * (2.0 * torch.rand(batch, 2, 2, generator=generator) - 1.0)
            if options.rotation:
                angles = math.radians(options.rotation) * (2.0 * torch.rand(batch, generator=generator) - 1.0)
                matrices = matrices @ _rotations(angles)
            offsets = _offsets(to_device(matrices), self.crop)
            if options.elastic:
                points = max(2, round(self.crop / SPACING) + 1)
                field = options.elastic * torch.randn(batch, 2, points, points, generator=generator)
                offsets = offsets + _interpolated(to_device(field), self.crop)
            pixels = _resampled(pixels, top, left, offsets)
        else:
            pixels = _crop(pixels, top, left, self.crop)
        if options.mirror:
            mirrored = to_device(torch.rand(batch, 1, 1, 1, generator=generator)) < 0.5
            stereo = pixels.shape[1] == 2
            pixels = torch.where(mirrored, pixels.flip(1, 3) if stereo else pixels.flip(3), pixels)

        low, high = options.contrast
        factor = low + (high - low) * to_device(torch.rand(batch, 1, 1, 1, generator=generator))
        shift = options.brightness * (2.0 * to_device(torch.rand(batch, 1, 1, 1, generator=generator)) - 1.0)
        if changes_colours(options):
            turns = math.radians(options.hue) * (2.0 * torch.rand(batch, generator=generator) - 1.0)
            least, most = options.saturation
            factors = least + (most - least) * torch.rand(batch, generator=generator)
            pixels = torch.einsum("bij,bjrc->birc", to_device(_colour_matrices(turns, factors)), pixels)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        # Clipped at 0 and 255, as in a camera. The network's standardisation undoes what is not clipped.
        return ((pixels - mean) * factor + mean + shift).clamp(0.0, 255.0)


def changes_colours(options: AugmentationConfig) -> bool:
    """Whether the options change hue or saturation."""
    return options.hue > 0.0 or options.saturation != (1.0, 1.0)


def require_colours(images: UInt8[Tensor, "batch channel row column"], options: AugmentationConfig) -> None:
    """Check that images have colours if the options change them.

    Raises:
        ValueError: They are grey, or stereo pairs.
    """
    if changes_colours(options) and images.shape[1] != 3:
        raise ValueError(
            f"--hue and --saturation change the colours of RGB images (3 channels), got images of {images.shape[1]} "
            f"channel{'s' * (images.shape[1] > 1)}"
        )


class Mixture(NamedTuple):
    """A batch in which each image is the weighted mean of itself and its partner.

    Attributes:
        images: [batch, channel, row, column].
        partners: Row of each image's partner in the batch, int64 [batch].
        share: Weight of the image itself; its partner has 1 − share.
    """

    images: Tensor
    partners: Tensor
    share: float


def mix(images: Float[Tensor, "batch channel row column"], alpha: float, generator: torch.Generator) -> Mixture:
    """Mixup (Zhang et al., ICLR 2018): mix a batch with itself in another order, by one share from Beta(α, α).

    With α = 0 the images are unchanged.
    """
    if not alpha:
        return Mixture(images, torch.arange(len(images), device=images.device), 1.0)
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))  # torch's distributions take no generator
    partners = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    return Mixture(share * images + (1.0 - share) * images[partners], partners, share)


def _crop(pixels: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Each image's own window, by indexing its rows and columns."""
    extent = torch.arange(size, device=pixels.device)
    rows = (top[:, None] + extent)[:, None, :, None]
    columns = (left[:, None] + extent)[:, None, None, :]
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None, None]
    channel = torch.arange(pixels.shape[1], device=pixels.device)[None, :, None, None]
    return pixels[image, channel, rows, columns]


def _rotations(angles: Float[Tensor, " batch"]) -> Float[Tensor, "batch 2 2"]:
    """Rotations by angles in radians."""
    cosines, sines = angles.cos(), angles.sin()
    return torch.stack([cosines, -sines, sines, cosines], dim=-1).view(-1, 2, 2)


def _colour_matrices(angles: Float[Tensor, " batch"], factors: Float[Tensor, " batch"]) -> Float[Tensor, "batch 3 3"]:
    """Matrices of RGB that turn hues by angles in radians and multiply saturations by factors."""
    matrices = torch.eye(3).repeat(len(angles), 1, 1)
    matrices[:, 1:, 1:] = factors[:, None, None] * _rotations(angles)
    result: Tensor = torch.linalg.inv(YIQ) @ matrices @ YIQ
    return result


def _offsets(matrices: Float[Tensor, "batch 2 2"], size: int) -> Float[Tensor, "batch size size 2"]:
    """The (x, y) offset from the centre of a window that each of its pixels is taken from, by a 2×2 matrix."""
    extent = torch.arange(size, device=matrices.device) - (size - 1) / 2.0
    offsets = torch.stack(torch.meshgrid(extent, extent, indexing="xy"), dim=-1)
    return torch.einsum("bij,rcj->brci", matrices, offsets)


def _interpolated(field: Float[Tensor, "batch 2 point point"], size: int) -> Float[Tensor, "batch size size 2"]:
    """A field's values at each pixel of a window; the corners of both coincide."""
    return functional.interpolate(field, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _resampled(pixels: Tensor, top: Tensor, left: Tensor, offsets: Float[Tensor, "batch size size 2"]) -> Tensor:
    """The same windows, each pixel taken at an offset from the window's centre; edge pixels repeat outwards."""
    size = offsets.shape[1]
    centres = torch.stack([left, top], dim=-1)[:, None, None, :] + (size - 1) / 2.0
    columns, rows = (2.0 * (offsets + centres) + 1.0).unbind(-1)
    # grid_sample counts from -1 to 1, edge to edge
    grid = torch.stack([columns / pixels.shape[3] - 1.0, rows / pixels.shape[2] - 1.0], dim=-1)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _require_size(images: Tensor, size: int) -> None:
    height, width = images.shape[2:]
    if min(height, width) < size:
        raise ValueError(f"images must have at least {size}×{size} pixels, got {height}×{width}")
