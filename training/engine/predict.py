"""Predicts the classes of a set of images, in batches."""

import torch
from torch import Tensor
from tqdm import tqdm

from matcaps.training.engine.checkpoint import Network

BATCH = 64
GPU_BATCH = 512


@torch.no_grad()
def predict(network: Network, images: Tensor, *, progress: bool = False) -> Tensor:
    """The most active class of each image: uint8 [n, channels, height, width] to int64 [n] on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    batches = tqdm(
        images.split(GPU_BATCH if device.type == "cuda" else BATCH),
        desc="evaluating",
        unit="batch",
        disable=not progress,
        leave=False,
    )
    return torch.cat([network(batch.to(device)).logits.argmax(1).cpu() for batch in batches])
