"""EM routing for all layers: chooses the implementation by device."""

import torch
from jaxtyping import Float
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.kernels import cpu, gpu
from matcaps.model.kernels.operator import fused_routing
from matcaps.model.routing.eager import Routed, em_routing
from matcaps.model.windows import Geometry


def route(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Geometry,
    config: RoutingConfig,
    *,
    assignments: bool = False,
) -> Routed:
    """Route by the kernels of the inputs' device, or in plain PyTorch (paper, section 3, Procedure 1).

    Plain PyTorch runs while a graph is exported, and where there are no kernels: without a C++ compiler or Triton, on
    other devices, or with more iterations than the kernels support. Under autocast routing stays in float32.

    Args:
        assignments: Whether the result must have assignments. Plain PyTorch always returns them.

    Raises:
        ValueError: Shapes or devices do not fit together.
    """
    if (
        not torch.compiler.is_exporting()
        and config.iterations <= cpu.MOST_ITERATIONS
        and _has_kernel(poses.device.type)
    ):
        return fused_routing(poses, activations, weights, beta_u, beta_a, windows, config, assignments=assignments)
    with torch.autocast(poses.device.type, enabled=False):
        poses, activations = poses.to(weights.dtype), activations.to(weights.dtype)
        return em_routing(poses, activations, weights, beta_u, beta_a, windows, config)


def _has_kernel(device: str) -> bool:
    return (device == "cpu" and cpu.available()) or (device == "cuda" and gpu.available())


# Has the effect of torch.compiler.assume_constant_result, but does not import the compiler, which takes 1.5 s.
_has_kernel._dynamo_marked_constant = True  # type: ignore[attr-defined]
