"""Runs a network on a set of images, in batches."""

import torch
from torch import Tensor
from tqdm import tqdm

from matcaps.training.engine.checkpoint import Network

BATCH = 64
GPU_BATCH = 512


def predict(network: Network, images: Tensor, *, progress: bool = False) -> Tensor:
    """The most active class of each image: uint8 [n, channels, height, width] to int64 [n] on the CPU."""
    return predict_logits(network, images, progress=progress).argmax(1)


@torch.no_grad()
def predict_logits(network: Network, images: Tensor, *, progress: bool = False) -> Tensor:
    """The class logits of each image: uint8 [n, channels, height, width] to float32 [n, classes] on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    batches = tqdm(
        images.split(GPU_BATCH if device.type == "cuda" else BATCH),
        desc="evaluating",
        unit="batch",
        disable=not progress,
        leave=False,
    )
    return torch.cat([network(batch.to(device)).logits.float().cpu() for batch in batches])
