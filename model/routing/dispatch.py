"""The one door to EM routing: which implementation serves is decided here, by device."""

import torch
from jaxtyping import Float
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.kernels import cpu, gpu
from matcaps.model.kernels.operator import fused_routing
from matcaps.model.routing.eager import Routed, em_routing
from matcaps.model.windows import Windows


def route(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Windows,
    config: RoutingConfig,
    *,
    assignments: bool = False,
) -> Routed:
    """EM routing by the fastest implementation that runs here; the assignments may come even if not asked for.

    The plain one serves where a graph is exported, and where there is no kernel: no C++ compiler, no Triton, or more
    iterations than the kernels have room for. Routing stays in float32 under mixed precision.
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


# What torch.compiler.assume_constant_result does, without the second and a half that importing the compiler takes.
_has_kernel._dynamo_marked_constant = True  # type: ignore[attr-defined]
