"""The CPU's kernels: tensors' memory handed to the C++ library."""

import ctypes

import torch
from torch import Tensor

from matcaps.model.kernels.cpu.library import Layer as Memory
from matcaps.model.kernels.cpu.library import available, library
from matcaps.model.kernels.layer import Gradients, Layer, Results, padded

__all__ = ["MOST_ITERATIONS", "available", "backward", "forward"]

MOST_ITERATIONS = 8
"""Of routing, that the kernel has room for."""


def forward(
    layer: Layer,
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    results: Results,
    *,
    width: int | None = None,
) -> None:
    """Fill the results of a batch; all tensors are contiguous and of one float type. ``width`` as in ``library``."""
    _call("matcaps_forward", layer, width, poses, activations, weights, beta_u, beta_a, *results)


def backward(
    layer: Layer,
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    weighings: Tensor,
    gaussians: Tensor,
    logits_gradient: Tensor,
    means_gradient: Tensor,
    assignments_gradient: Tensor | None,
    gradients: Gradients,
    *,
    width: int | None = None,
) -> None:
    """Fill the gradients of a batch, from those of the results and what ``forward`` kept."""
    inputs = poses, activations, weights, beta_u, beta_a, weighings, gaussians
    given = logits_gradient, means_gradient, assignments_gradient
    _call("matcaps_backward", layer, width, *inputs, *given, *gradients)


def _call(function: str, layer: Layer, width: int | None, poses: Tensor, *tensors: Tensor | None) -> None:
    weights = tensors[1]
    assert weights is not None
    sites, positions = layer.seen.shape
    images, child_sites, child_types = poses.shape[:3]
    memory = Memory(
        images,
        child_sites,
        sites,
        positions,
        child_types,
        weights.shape[2],
        padded(weights.shape[2]),
        weights.shape[0] == 1,
        layer.slots.shape[1],
        layer.iterations,
        torch.get_num_threads(),
        layer.seen.data_ptr(),
        layer.slots.data_ptr(),
        layer.windows_of_child.data_ptr(),
        None if layer.coordinates is None else layer.coordinates.data_ptr(),
        layer.final_inverse_temperature,
        layer.mass_unit,
        layer.density_temperature,
        layer.variance_floor,
    )
    addresses = [tensor.data_ptr() if tensor is not None and tensor.numel() else None for tensor in (poses, *tensors)]
    array = (ctypes.c_void_p * len(addresses))(*addresses)
    enough = getattr(library(width), function)(ctypes.byref(memory), int(poses.dtype == torch.float64), array)
    if not enough:
        raise MemoryError(f"not enough memory to route {images} images on the CPU")
