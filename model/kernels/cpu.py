"""The CPU's kernels: passes the memory of tensors to the C++ library."""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from matcaps.kernels.library import BackwardTensors, ForwardTensors, LayerStruct, available, library, padded
from matcaps.model.kernels.layer import InputGradients, Inputs, Kept, Layer, ResultGradients, Results

__all__ = ["MOST_ITERATIONS", "available", "backward", "forward"]

MOST_ITERATIONS = 8
"""The most routing iterations that the kernels support."""


def forward(layer: Layer, inputs: Inputs, results: Results, *, width: int | None = None) -> None:
    """Fill the results of a batch. ``width`` is in bits, as in ``library``.

    Raises:
        MemoryError: There is not enough memory for the kernel's tables.
    """
    tensors = ForwardTensors(
        poses=_address(inputs.poses),
        activations=_address(inputs.activations),
        weights=_address(inputs.weights),
        beta_u=_address(inputs.beta_u),
        beta_a=_address(inputs.beta_a),
        logits=_address(results.logits),
        means=_address(results.means),
        assignments=_address(results.assignments),
        weighings=_address(results.weighings),
        gaussians=_address(results.gaussians),
    )
    _run(library(width).matcaps_forward, layer, inputs, tensors)


def backward(
    layer: Layer,
    inputs: Inputs,
    kept: Kept,
    given: ResultGradients,
    gradients: InputGradients,
    *,
    width: int | None = None,
) -> None:
    """Fill the gradients of a batch from those of the results and from what ``forward`` kept.

    Raises:
        MemoryError: There is not enough memory for the kernel's tables.
    """
    tensors = BackwardTensors(
        poses=_address(inputs.poses),
        activations=_address(inputs.activations),
        weights=_address(inputs.weights),
        beta_u=_address(inputs.beta_u),
        weighings=_address(kept.weighings),
        gaussians=_address(kept.gaussians),
        logits_gradient=_address(given.logits),
        means_gradient=_address(given.means),
        assignments_gradient=_address(given.assignments),
        poses_gradient=_address(gradients.poses),
        activations_gradient=_address(gradients.activations),
        weights_gradient=_address(gradients.weights),
        beta_u_gradient=_address(gradients.beta_u),
        beta_a_gradient=_address(gradients.beta_a),
    )
    _run(library(width).matcaps_backward, layer, inputs, tensors)


def _address(tensor: Tensor | None) -> int | None:
    return tensor.data_ptr() if tensor is not None and tensor.numel() else None


def _run(function: Callable[..., int], layer: Layer, inputs: Inputs, tensors: ctypes.Structure) -> None:
    images, child_sites, child_types = inputs.poses.shape[:3]
    parent_sites, positions = layer.seen.shape
    parent_types = inputs.weights.shape[2]
    struct = LayerStruct(
        images=images,
        child_sites=child_sites,
        parent_sites=parent_sites,
        positions=positions,
        child_types=child_types,
        parent_types=parent_types,
        lanes=padded(parent_types),
        shared=inputs.weights.shape[0] == 1,
        windows_at_most=layer.slots.shape[1],
        iterations=layer.iterations,
        threads=torch.get_num_threads(),
        seen=layer.seen.data_ptr(),
        slots=layer.slots.data_ptr(),
        windows_of_child=layer.windows_of_child.data_ptr(),
        coordinates=_address(layer.coordinates),
        final_inverse_temperature=layer.final_inverse_temperature,
        mass_unit=layer.mass_unit,
        density_temperature=layer.density_temperature,
        variance_floor=layer.variance_floor,
        competing_types=layer.competing_types,
    )
    doubles = inputs.poses.dtype == torch.float64
    enough = function(ctypes.byref(struct), ctypes.byref(tensors), int(doubles))
    if not enough:
        raise MemoryError(f"not enough memory to route {images} images on the CPU")
