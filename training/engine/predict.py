"""Runs a network on a set of images, in batches."""

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

from matcaps.model import CapsNet
from matcaps.training.engine.checkpoint import Network

BATCH = 64
GPU_BATCH = 512


def predict(network: Network, images: Tensor, *, progress: bool = False) -> Tensor:
    """The most active class of each image: uint8 [n, channels, height, width] to int64 [n] on the CPU."""
    return predict_logits(network, images, progress=progress).argmax(1)


@torch.no_grad()
def predict_logits(network: Network, images: Tensor, *, progress: bool = False) -> Tensor:
    """The class logits of each image: uint8 [n, channels, height, width] to float32 [n, classes] on the CPU."""
    return torch.cat([network(batch).logits.float().cpu() for batch in _batches(network, images, progress=progress)])


@torch.no_grad()
def primary_capsules(network: CapsNet, images: Tensor, *, progress: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """The primary capsules of each batch: activations [batch, sites, types] and poses [batch, sites, types, 4, 4]."""
    for batch in _batches(network, images, progress=progress):
        capsules = network(batch).primary_caps
        yield capsules.activations.float().cpu(), capsules.poses.float().cpu()


def _batches(network: Network, images: Tensor, *, progress: bool) -> Iterator[Tensor]:
    """The images in batches on the device of the network, which is put into evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    batches = images.split(GPU_BATCH if device.type == "cuda" else BATCH)
    for batch in tqdm(batches, desc="evaluating", unit="batch", disable=not progress, leave=False):
        yield batch.to(device)
