"""The operators ``matcaps::route`` and ``matcaps::route_backward``, by which torch knows the kernels.

They are registered with their shapes and their gradient, so autograd and ``torch.compile`` treat them as built-in
operators. There is no second derivative: asking for one is an error.

An operator takes numbers and tensors only, no tuples. Its arguments are therefore the fields of the named tuples in
``layer.py``, one tuple after the other: the schema is made from their names, and the operator puts them together again.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple, get_type_hints

import torch
from jaxtyping import Float
from torch import Tensor

from matcaps.model.config import RoutingConfig
from matcaps.model.kernels import cpu, gpu
from matcaps.model.kernels.layer import (
    InputGradients,
    Inputs,
    Kept,
    Layer,
    ResultGradients,
    Results,
    empty_gradients,
    empty_results,
)
from matcaps.model.routing.eager import Routed
from matcaps.model.windows import Geometry

SCHEMA_TYPES = {Tensor: "Tensor", Tensor | None: "Tensor?", int: "int", float: "float", bool: "bool"}


class Options(NamedTuple):
    """What a forward pass computes besides logits and means."""

    assignments: bool
    keep: bool
    """Whether to keep what a backward pass needs."""


def _fields(*packs: type) -> str:
    """The fields of named tuples as a list of parameters in a torch schema."""
    fields = [field for pack in packs for field in get_type_hints(pack).items()]
    return ", ".join(f"{SCHEMA_TYPES[kind]} {name}" for name, kind in fields)


def _pack(arguments: Iterable[Any], *packs: Any) -> list[Any]:
    """The named tuples whose fields stand in a row in ``arguments``."""
    rest = iter(arguments)
    return [pack(*islice(rest, len(pack._fields))) for pack in packs]


@torch.library.custom_op(
    "matcaps::route", mutates_args=(), schema=f"({_fields(Inputs, Layer, Options)}) -> ({_fields(Results)})"
)
def route(*arguments: Any) -> Results:
    """Route a batch. The arguments are the fields of ``Inputs``, ``Layer`` and ``Options``."""
    inputs, layer, options = _pack(arguments, Inputs, Layer, Options)
    results = empty_results(inputs, layer, **options._asdict())
    if inputs.poses.shape[0]:
        (gpu if inputs.poses.is_cuda else cpu).forward(layer, inputs, results)
    return results


@route.register_fake
def _(*arguments: Any) -> Results:
    inputs, layer, options = _pack(arguments, Inputs, Layer, Options)
    return empty_results(inputs, layer, **options._asdict())


@torch.library.custom_op(
    "matcaps::route_backward",
    mutates_args=(),
    schema=f"({_fields(ResultGradients, Kept, Inputs, Layer)}) -> ({_fields(InputGradients)})",
)
def route_backward(*arguments: Any) -> InputGradients:
    """Gradients of the inputs. The arguments are those of ``ResultGradients``, ``Kept``, ``Inputs`` and ``Layer``."""
    given, kept, inputs, layer = _pack(arguments, ResultGradients, Kept, Inputs, Layer)
    assignments = None if given.assignments is None else given.assignments.contiguous()
    given = ResultGradients(given.logits.contiguous(), given.means.contiguous(), assignments)
    gradients = empty_gradients(inputs)
    if inputs.poses.shape[0]:
        (gpu if inputs.poses.is_cuda else cpu).backward(layer, inputs, kept, given, gradients)
    else:
        for gradient in gradients:
            gradient.zero_()
    return gradients


@route_backward.register_fake
def _(*arguments: Any) -> InputGradients:
    _, _, inputs, _ = _pack(arguments, ResultGradients, Kept, Inputs, Layer)
    return empty_gradients(inputs)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, layer, _ = _pack(inputs, Inputs, Layer, Options)
    kept = Results(*output).kept
    ctx.mark_non_differentiable(*kept)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*kept, *tensors, *layer.tables)
    ctx.constants = layer.constants


def _differentiate(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    kept, inputs, layer = _pack((*ctx.saved_tensors, *ctx.constants), Kept, Inputs, Layer)
    logits, means, assignments, _, _ = gradients
    parents = inputs.poses.shape[0], layer.seen.shape[0], inputs.weights.shape[2]
    if logits is None:
        logits = inputs.poses.new_zeros(parents)
    if means is None:
        means = inputs.poses.new_zeros(*parents, 4, 4)
    found = route_backward(*ResultGradients(logits, means, assignments), *kept, *inputs, *layer)
    return (*found, *(None for _ in (*Layer._fields, *Options._fields)))


route.register_autograd(_differentiate, setup_context=_keep)


def fused_routing(
    poses: Float[Tensor, "batch child_site child_type 4 4"],
    activations: Float[Tensor, "batch child_site child_type"],
    weights: Float[Tensor, "#position child_type parent_type 4 4"],
    beta_u: Float[Tensor, " parent_type"],
    beta_a: Float[Tensor, " parent_type"],
    windows: Geometry,
    config: RoutingConfig,
    *,
    assignments: bool = True,
) -> Routed:
    """The results of ``em_routing`` without stored votes; assignments only if asked for. Any strides, any batch.

    Float64 stays float64; all other types are routed in float32, also under mixed precision.

    Raises:
        ValueError: Shapes or devices do not fit together, or there are more iterations than the kernels support.
    """
    tensors = {"poses": poses, "activations": activations, "weights": weights, "beta_u": beta_u, "beta_a": beta_a}
    _check(tensors, windows, config)
    dtype = torch.float64 if poses.dtype == torch.float64 else torch.float32
    inputs = Inputs(**{name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()})
    layer = Layer.of(windows, config, inputs.weights)
    differentiable = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    results = Results(*route(*inputs, *layer, *Options(assignments, keep=differentiable)))
    return Routed(results.logits, results.means, results.assignments if assignments else None)


def _check(tensors: dict[str, Tensor], windows: Geometry, config: RoutingConfig) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    sites = found["poses"][1] if len(found["poses"]) > 1 else "none"
    if sites != windows.child_sites:
        raise ValueError(f"the windows need {windows.child_sites} child sites, found {sites}")
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
        raise ValueError(
            f"a layer needs at least 1 child type and 1 parent type, found {child_types} and {parent_types}"
        )
    for name, tensor in tensors.items():
        if tensor.device != windows.seen.device:
            raise ValueError(f"{name} must be on the windows' device {windows.seen.device}, found {tensor.device}")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point, found {tensor.dtype}")
    if config.iterations > cpu.MOST_ITERATIONS:
        raise ValueError(f"the kernels route at most {cpu.MOST_ITERATIONS} iterations, found {config.iterations}")
