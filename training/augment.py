"""The paper's augmentation (section 6): random crop, brightness and contrast, whole batches at once."""

from dataclasses import dataclass

import torch
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
    """

    crop: int
    shift: int = 0
    brightness: float = 0.0
    contrast: tuple[float, float] = (1.0, 1.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 [batch, channels, height, width] to float32 pixels in 0–255, [batch, channels, crop, crop].

        The generator lives on the CPU, whatever the device of the images: the same draws everywhere.
        """
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
