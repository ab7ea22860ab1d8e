"""Pictures of nothing: negatives whose labels are all zero, so that no class is present in them.

Of RGB images they have colours. They are drawn or made from the training images, never from another data set.
"""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

NOTHING = -1  # the label of a picture without any class

Draw = Callable[[Tensor, torch.Generator], Tensor]


def pictures_of_nothing(
    images: UInt8[Tensor, "batch channel row column"], generator: torch.Generator
) -> UInt8[Tensor, "batch channel row column"]:
    """One picture of nothing for each image, of a kind that is drawn: even, ramp, noise, blobs, strokes or shuffled.

    Args:
        images: Training images; shuffled kinds take their pixels, the others only their size.
        generator: On the CPU, where everything is drawn.
    """
    pixels = images.cpu().float()
    kinds = torch.randint(len(KINDS), (len(images),), generator=generator).tolist()
    drawn = [KINDS[kind](image, generator) for kind, image in zip(kinds, pixels, strict=True)]
    return torch.stack(drawn).round().clamp(0.0, 255.0).to(images.device, torch.uint8)


def even(image: Tensor, generator: torch.Generator) -> Tensor:
    """One level or colour; every third time black or white, which people send most often."""
    level, choice = torch.rand(_colours(image), 1, 1, generator=generator), torch.randint(6, (), generator=generator)
    value = {0: 0.0, 1: 255.0}.get(int(choice))
    return (255.0 * level if value is None else torch.tensor(value)).expand_as(image)


def ramp(image: Tensor, generator: torch.Generator) -> Tensor:
    """A level that rises evenly in one direction."""
    height, width = image.shape[1:]
    angle = 2.0 * torch.pi * torch.rand((), generator=generator)
    rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None, :]
    return _within(angle.sin() * rows + angle.cos() * columns, image, generator)


def noise(image: Tensor, generator: torch.Generator) -> Tensor:
    """Independent pixels, normal or uniform."""
    if torch.rand((), generator=generator) < 0.5:
        return 255.0 * torch.rand(image.shape, generator=generator)
    deviation = 5.0 + 95.0 * torch.rand((), generator=generator)
    return 255.0 * torch.rand((), generator=generator) + deviation * torch.randn(image.shape, generator=generator)


def smooth(image: Tensor, generator: torch.Generator) -> Tensor:
    """Noise without fine detail."""
    return _within(_field(image, generator), image, generator)


def blobs(image: Tensor, generator: torch.Generator) -> Tensor:
    """Filled shapes without meaning: where smooth noise exceeds a level."""
    field = _field(image, generator)
    edge = field.std() * torch.randn((), generator=generator) * 0.7
    return _two_levels(((field - edge) / field.std().clamp_min(1e-6) * 8.0).sigmoid(), image, generator)


def strokes(image: Tensor, generator: torch.Generator) -> Tensor:
    """Lines without meaning: the contours of smooth noise, in a part of the picture."""
    field = _field(image, generator)
    field = field / field.std().clamp_min(1e-6)
    width = 0.1 + 0.3 * torch.rand((), generator=generator)
    lines = ((width - field.abs()) * 12.0).sigmoid()
    mask = _field(image, generator)
    if torch.rand((), generator=generator) < 0.5:
        lines = lines * ((mask / mask.std().clamp_min(1e-6)) * 8.0).sigmoid()
    return _two_levels(lines, image, generator)


def shuffled_patches(image: Tensor, generator: torch.Generator) -> Tensor:
    """The image's own patches in another order: 3×3 to 7×7 of them."""
    patches = int(torch.randint(3, 8, (), generator=generator))
    channels, height, width = image.shape
    down, across = height // patches, width // patches
    top, left = (height - down * patches) // 2, (width - across * patches) // 2
    inner = image[:, top : top + down * patches, left : left + across * patches]
    cut = inner.reshape(channels, patches, down, patches, across).permute(1, 3, 0, 2, 4).flatten(0, 1)
    order = torch.randperm(len(cut), generator=generator)
    result = image.clone()
    result[:, top : top + down * patches, left : left + across * patches] = (
        cut[order].unflatten(0, (patches, patches)).permute(2, 0, 3, 1, 4).reshape(inner.shape)
    )
    return result


def shuffled_pixels(image: Tensor, generator: torch.Generator) -> Tensor:
    """The image's own pixels in another order, the same for all channels."""
    order = torch.randperm(image[0].numel(), generator=generator)
    return image.flatten(1)[:, order].view_as(image)


KINDS: tuple[Draw, ...] = (even, ramp, noise, smooth, blobs, strokes, shuffled_patches, shuffled_pixels)


def _field(image: Tensor, generator: torch.Generator) -> Tensor:
    """Smooth noise [1, height, width] of a detail that is drawn: from 2×2 to a third of the pixels."""
    height, width = image.shape[1:]
    points = int(torch.randint(3, max(4, height // 3), (), generator=generator))
    coarse = torch.randn(1, 1, points, points, generator=generator)
    return functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]


def _within(field: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """A field stretched between two levels or colours that are drawn, in an image's shape."""
    low, high = field.min(), field.max()
    return _two_levels((field - low) / (high - low).clamp_min(1e-6), image, generator)


def _two_levels(share: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels between two levels or colours that are drawn, by shares in [0, 1]; half of the time black and white."""
    if torch.rand((), generator=generator) < 0.5:
        return (255.0 * share).expand_as(image)
    ends: Tensor = 255.0 * torch.rand(2, _colours(image), 1, 1, generator=generator)
    return torch.lerp(ends[0], ends[1], share).expand_as(image)


def _colours(image: Tensor) -> int:
    """How many levels make a colour: three of RGB; the two cameras of a stereo pair see the same level."""
    return 3 if len(image) == 3 else 1
