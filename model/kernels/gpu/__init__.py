"""The GPU's kernels, in Triton: tensors' memory handed to them, on the device that holds it."""

from functools import cache
from importlib import import_module

import torch
from torch import Tensor

from matcaps.model.kernels.layer import Gradients, Layer, Results

__all__ = ["available", "backward", "forward"]


@cache
def available() -> bool:
    """Whether Triton is installed. It compiles at first use, for which it needs a C compiler."""
    try:
        import_module("triton")
    except ImportError:
        return False
    return True


def forward(
    layer: Layer,
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    results: Results,
) -> None:
    """Fill the results of a batch; all tensors are contiguous and of one float type."""
    from matcaps.model.kernels.gpu.procedure import forward as launch  # only here is Triton needed

    with torch.cuda.device_of(poses):
        launch(layer, poses, activations, weights, beta_u, beta_a, results)


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
) -> None:
    """Fill the gradients of a batch, from those of the results and what ``forward`` kept."""
    from matcaps.model.kernels.gpu.gradient import backward as launch

    inputs = poses, activations, weights, beta_u, beta_a, weighings, gaussians
    with torch.cuda.device_of(poses):
        launch(layer, *inputs, logits_gradient, means_gradient, assignments_gradient, gradients)
