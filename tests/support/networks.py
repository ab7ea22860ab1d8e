"""Configurations of small networks, networks with fixed weights, and random pictures for them."""

from dataclasses import replace

import torch
from torch import Tensor

from matcaps.model.config import CapsNetConfig, tiny
from matcaps.model.network import CapsNet, Prediction

SHRUNK = replace(tiny(), crop_size=24, resolution=18)
POOLED = replace(tiny(channels=2), pooled_channels=3)
DEEP = replace(POOLED, residual_blocks=2)
UNNORMED = replace(tiny(), residual_blocks=1, batch_norm=False)
CROPPED = [replace(tiny(), crop_size=crop) for crop in (24, 17)]
BY_TYPE = replace(tiny(), crop_size=24, routing=replace(tiny().routing, competition="positions"))
CONFIGS = [tiny(), tiny(channels=2), tiny(channels=3), *CROPPED, SHRUNK, POOLED, DEEP, UNNORMED, BY_TYPE]


def build(config: CapsNetConfig, dtype: torch.dtype = torch.float32) -> CapsNet:
    """A network in evaluation mode, always with the same weights."""
    torch.manual_seed(0)
    return CapsNet(config).to(dtype).eval()


def pictures(config: CapsNetConfig, batch: int = 2, size: int | None = None) -> Tensor:
    """Random pixels in 0–255, as floats."""
    generator = torch.Generator().manual_seed(1)
    size = size or config.image_size
    return torch.randint(0, 256, (batch, config.channels, size, size), generator=generator).float()


def all_parts(prediction: Prediction) -> list[Tensor]:
    """Every tensor of a prediction."""
    layers = prediction.primary_caps, prediction.conv_caps_1, prediction.conv_caps_2
    return [
        prediction.logits,
        prediction.activations,
        prediction.poses,
        prediction.class_assignments,
        *(tensor for layer in layers for tensor in layer),
    ]
