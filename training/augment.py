"""The paper's augmentation (section 6): random crop, brightness and contrast, whole batches at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augment:
    """Random variants of images, each drawn for itself; all channels of an image share its draw.

    Attributes:
        crop: Height and width of the random crop, in pixels.
        shift: Edge pixels repeated around the image before it is cropped.
        brightness: Largest shift of all pixels, in grey levels, either way.
        contrast: Range of the factor by which pixels move away from their mean.

    >>> digits = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    >>> Augment(crop=28, shift=2)(digits, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """

    crop: int
    shift: int = 0
    brightness: float = 0.0
    contrast: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if self.crop < 1 or self.shift < 0 or self.brightness < 0.0:
            raise ValueError(
                f"crop must be positive, shift and brightness not negative, "
                f"found {self.crop}, {self.shift} and {self.brightness}"
            )
        if not 0.0 < self.contrast[0] <= self.contrast[1]:
            raise ValueError(f"contrast must be a range of positive factors, found {self.contrast}")

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
        device = images.device

        # A crop is a gather of its rows, then of its columns.
        top = torch.randint(height - self.crop + 1, (batch,), generator=generator).to(device)
        left = torch.randint(width - self.crop + 1, (batch,), generator=generator).to(device)
        extent = torch.arange(self.crop, device=device)
        rows = (top[:, None] + extent)[:, None, :, None]
        columns = (left[:, None] + extent)[:, None, None, :]
        image = torch.arange(batch, device=device)[:, None, None, None]
        channel = torch.arange(pixels.shape[1], device=device)[None, :, None, None]
        pixels = pixels[image, channel, rows, columns]

        low, high = self.contrast
        factor = low + (high - low) * torch.rand(batch, 1, 1, 1, generator=generator).to(device)
        shift = self.brightness * (2.0 * torch.rand(batch, 1, 1, 1, generator=generator).to(device) - 1.0)
        mean = pixels.mean((1, 2, 3), keepdim=True)
        # What leaves 0–255 is clipped, as in a camera; what does not is undone when the network standardises.
        return ((pixels - mean) * factor + mean + shift).clamp(0.0, 255.0)


def centre_crop(images: UInt8[Tensor, "batch channel row column"], size: int) -> Tensor:
    """The middle size×size pixels of each image, as the network crops what is larger than it takes.

    Raises:
        ValueError: An image is smaller than the crop.
    """
    _refuse_smaller(images, size)
    top, left = (images.shape[2] - size) // 2, (images.shape[3] - size) // 2
    return images[:, :, top : top + size, left : left + size]


def _refuse_smaller(images: Tensor, size: int) -> None:
    height, width = images.shape[2:]
    if min(height, width) < size:
        raise ValueError(f"images must have at least {size}×{size} pixels, found {height}×{width}")
