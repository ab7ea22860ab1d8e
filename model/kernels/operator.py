"""The operators ``matcaps::route`` and ``matcaps::route_backward``: what torch knows of the fused kernels.

Registered with their shapes and their gradient, so that autograd and ``torch.compile`` take them for operators of
torch's own. A second derivative is not there, and asking for one is an error.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.kernels import cpu, gpu
from matcaps.model.kernels.layer import Layer, empty_gradients, empty_results
from matcaps.model.routing.eager import Routed
from matcaps.model.windows import Windows


@torch.library.custom_op("matcaps::route", mutates_args=())
def route(
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    seen: Tensor,
    slots: Tensor,
    windows_of_child: Tensor,
    coordinates: Tensor | None,
    iterations: int,
    final_inverse_temperature: float,
    mass_unit: float,
    density_temperature: float,
    variance_floor: float,
    assignments: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Route; the arguments are those of ``Layer``, all tensors contiguous, on one device and of one float type."""
    layer = Layer(
        seen,
        slots,
        windows_of_child,
        coordinates,
        iterations,
        final_inverse_temperature,
        mass_unit,
        density_temperature,
        variance_floor,
    )
    results = empty_results(poses, weights, seen, iterations, assignments=assignments, keep=keep)
    if poses.shape[0]:
        (gpu if poses.is_cuda else cpu).forward(layer, poses, activations, weights, beta_u, beta_a, results)
    return results


@route.register_fake
def _(
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    seen: Tensor,
    slots: Tensor,
    windows_of_child: Tensor,
    coordinates: Tensor | None,
    iterations: int,
    final_inverse_temperature: float,
    mass_unit: float,
    density_temperature: float,
    variance_floor: float,
    assignments: bool,
    keep: bool,
) -> tuple[Tensor, ...]:
    return tuple(empty_results(poses, weights, seen, iterations, assignments=assignments, keep=keep))


@torch.library.custom_op("matcaps::route_backward", mutates_args=())
def route_backward(
    logits_gradient: Tensor,
    means_gradient: Tensor,
    assignments_gradient: Tensor | None,
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    beta_u: Tensor,
    beta_a: Tensor,
    weighings: Tensor,
    gaussians: Tensor,
    seen: Tensor,
    slots: Tensor,
    windows_of_child: Tensor,
    coordinates: Tensor | None,
    iterations: int,
    final_inverse_temperature: float,
    mass_unit: float,
    density_temperature: float,
    variance_floor: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of poses, activations, weights, β_u and β_a from those of the results and what they kept."""
    layer = Layer(
        seen,
        slots,
        windows_of_child,
        coordinates,
        iterations,
        final_inverse_temperature,
        mass_unit,
        density_temperature,
        variance_floor,
    )
    gradients = empty_gradients(poses, weights)
    if poses.shape[0]:
        (gpu if poses.is_cuda else cpu).backward(
            layer,
            poses,
            activations,
            weights,
            beta_u,
            beta_a,
            weighings,
            gaussians,
            logits_gradient.contiguous(),
            means_gradient.contiguous(),
            assignments_gradient if assignments_gradient is None else assignments_gradient.contiguous(),
            gradients,
        )
    else:
        for gradient in gradients:
            gradient.zero_()
    return gradients


@route_backward.register_fake
def _(
    logits_gradient: Tensor,
    means_gradient: Tensor,
    assignments_gradient: Tensor | None,
    poses: Tensor,
    activations: Tensor,
    weights: Tensor,
    *_others: object,
) -> tuple[Tensor, ...]:
    return tuple(empty_gradients(poses, weights))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    poses, activations, weights, beta_u, beta_a, seen, slots, windows_of_child, coordinates, *constants = inputs
    *constants, _, _ = constants
    weighings, gaussians = output[3:]
    ctx.mark_non_differentiable(weighings, gaussians)
    ctx.set_materialize_grads(False)
    inputs = poses, activations, weights, beta_u, beta_a
    ctx.save_for_backward(*inputs, weighings, gaussians, seen, slots, windows_of_child, coordinates)
    ctx.constants = constants


def _differentiate(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    *inputs, weighings, gaussians, seen, slots, windows_of_child, coordinates = ctx.saved_tensors
    poses, _, weights = inputs[:3]
    logits_gradient, means_gradient, assignments_gradient = gradients[:3]
    parents = poses.shape[0], seen.shape[0], weights.shape[2]
    if logits_gradient is None:
        logits_gradient = poses.new_zeros(parents)
    if means_gradient is None:
        means_gradient = poses.new_zeros(*parents, 4, 4)
    found = route_backward(
        *(logits_gradient, means_gradient, assignments_gradient, *inputs, weighings, gaussians),
        *(seen, slots, windows_of_child, coordinates, *ctx.constants),
    )
    return (*found, *(None for _ in range(11)))


route.register_autograd(_differentiate, setup_context=_keep)


def fused_routing(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Windows,
    config: RoutingConfig,
    *,
    assignments: bool = True,
) -> Routed:
    """What ``em_routing`` computes, without its votes; assignments only if asked for. Any strides, any batch.

    Float64 stays float64; all else is routed in float32, under mixed precision too.

    Raises:
        ValueError: Shapes or devices do not fit together, or there are more iterations than the kernels have room for.
    """
    tensors = {"poses": poses, "activations": activations, "weights": weights, "beta_u": beta_u, "beta_a": beta_a}
    _check(tensors, windows, config)
    dtype = torch.float64 if poses.dtype == torch.float64 else torch.float32
    inputs = [tensor.to(dtype).contiguous() for tensor in tensors.values()]
    coordinates = None if windows.coordinates is None else windows.coordinates.to(dtype).contiguous()
    logits, means, assigned, _, _ = route(
        *inputs,
        *(table.contiguous() for table in (windows.seen, windows.slots, windows.windows_of_child)),
        coordinates,
        config.iterations,
        config.final_inverse_temperature,
        windows.mass_unit(weights.shape[1], weights.shape[2]) if config.mass == "relative" else 1.0,
        config.density_temperature,
        config.variance_floor,
        assignments,
        torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs),
    )
    return Routed(logits, means, assigned if assignments else None)


def _check(tensors: dict[str, Tensor], windows: Windows, config: RoutingConfig) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sites = found["poses"][1] if len(found["poses"]) > 1 else "none"
    if sites != windows.child_sites:
        raise ValueError(f"the windows lie over {windows.child_sites} child sites, found {sites}")
    batch, *_ = found["activations"] or (0,)
    child_types, parent_types = (*found["weights"], 0, 0, 0)[1:3]
    positions = found["weights"][0] if found["weights"][:1] == (1,) else windows.positions
    expected = {
        "poses": (batch, windows.child_sites, child_types, 4, 4),
        "activations": (batch, windows.child_sites, child_types),
        "weights": (positions, child_types, parent_types, 4, 4),
        "beta_u": (parent_types,),
        "beta_a": (parent_types,),
    }
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(f"{name} must have the shape {list(shape)}, found {list(found[name])}")
    if not child_types or not parent_types:
        raise ValueError(f"a layer needs children and parents, found {child_types} and {parent_types} types")
    for name, tensor in tensors.items():
        if tensor.device != windows.seen.device:
            raise ValueError(f"{name} must be on the windows' device {windows.seen.device}, found {tensor.device}")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point, found {tensor.dtype}")
    if config.iterations > cpu.MOST_ITERATIONS:
        raise ValueError(f"the kernels route {cpu.MOST_ITERATIONS} iterations at most, found {config.iterations}")
