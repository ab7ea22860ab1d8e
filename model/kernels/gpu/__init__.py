"""The GPU's kernels, in Triton: launches them on the device that holds the tensors."""

from functools import cache
from importlib import import_module

import torch

from matcaps.model.kernels.layer import InputGradients, Inputs, Kept, Layer, ResultGradients, Results

__all__ = ["available", "backward", "forward"]


@cache
def available() -> bool:
    """Whether Triton is installed. It compiles kernels at first use and needs a C compiler for that."""
    try:
        import_module("triton")
    except ImportError:
        return False
    return True


def forward(layer: Layer, inputs: Inputs, results: Results) -> None:
    """Fill the results of a batch."""
    from matcaps.model.kernels.gpu.procedure import forward as launch  # only here is Triton needed

    with torch.cuda.device_of(inputs.poses):
        launch(layer, inputs, results)


def backward(
    layer: Layer,
    inputs: Inputs,
    kept: Kept,
    given: ResultGradients,
    gradients: InputGradients,
) -> None:
    """Fill the gradients of a batch from those of the results and from what ``forward`` kept."""
    from matcaps.model.kernels.gpu.gradient import backward as launch

    with torch.cuda.device_of(inputs.poses):
        launch(layer, inputs, kept, given, gradients)
