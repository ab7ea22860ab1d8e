"""``python -m tests.support.interpreted FILE``: runs the GPU kernels in Triton's interpreter.

A process of its own, since Triton reads TRITON_INTERPRET=1 when it is imported.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from matcaps.model.kernels import gpu
from matcaps.model.kernels.layer import Inputs, Layer, ResultGradients, Results, empty_gradients, empty_results
from tests.support.routing_cases import BY_TYPE, HARD, NAMES, SOFT, Case

DOUBLE, SINGLE = torch.float64, torch.float32
CASES = {
    "windows-that-skip-children": (Case((5, 3), (2, 2), 3, 2, 5, replace(HARD, iterations=2), batch=2, seed=1), DOUBLE),
    "windows-that-overlap": (Case((3, 2), (2, 2), 1, 2, 3, SOFT, seed=2), DOUBLE),
    "windows-that-overlap-in-float32": (Case((3, 2), (2, 2), 1, 2, 3, replace(HARD, iterations=2), seed=2), SINGLE),
    "by-type": (Case((3, 2), (2, 2), 1, 2, 3, BY_TYPE, seed=2), DOUBLE),
    "by-type-in-float32": (Case((3, 2), (2, 1), 1, 2, 3, replace(BY_TYPE, iterations=2), seed=9), SINGLE),
    "by-type-in-blocks": (Case((6, 1), (3, 1), 2, 1, 33, replace(BY_TYPE, iterations=2), seed=6), DOUBLE),
    "by-type-in-one-iteration": (Case((3, 1), (2, 1), 1, 2, 5, replace(BY_TYPE, iterations=1), seed=4), DOUBLE),
    "classes": (Case((2, 2), (2, 2), 1, 3, 5, replace(SOFT, iterations=2), True, True, batch=2, seed=3), DOUBLE),
    "one-iteration": (Case((3, 2), (2, 1), 1, 2, 5, replace(SOFT, iterations=1), batch=2, seed=4), DOUBLE),
    "blocks-of-parents": (Case((2, 1), (2, 1), 1, 1, 33, replace(SOFT, iterations=2), seed=5), DOUBLE),
    "far-from-the-sample": (Case((2, 2), (2, 2), 1, 3, 2, replace(SOFT, iterations=1), seed=7), SINGLE),
    "masses-that-underflow": (Case((2, 2), (2, 2), 1, 3, 2, replace(HARD, iterations=2), seed=8), SINGLE),
}


def inputs_of(name: str) -> Inputs:
    """A case's inputs; float32 has difficulties with those of the last two."""
    case, dtype = CASES[name]
    poses, activations, weights, beta_u, beta_a = case.inputs(SINGLE)
    if name == "far-from-the-sample":  # the sample has the first type only: low mass, far from the mean
        activations = torch.tensor([1e-6, 0.5, 0.7]).expand_as(activations)
        poses = poses + torch.tensor([0.0, 1000.0, 1000.0])[:, None, None]
        weights = torch.eye(4).expand_as(weights)
    if name == "masses-that-underflow":  # all agree on one parent; on the other they scatter 10⁵ times as much
        activations = activations.clamp_min(0.1)
        poses = torch.eye(4) + 1e-3 * poses
        weights = torch.stack([torch.eye(4).expand_as(weights[:, :, 0]), 1e4 * weights[:, :, 1]], 2)
    return Inputs(*(tensor.to(dtype) for tensor in (poses, activations, weights, beta_u, beta_a)))


def gradients_given(results: Sequence[Tensor], seed: int) -> ResultGradients:
    """Random gradients of logits, means and assignments."""
    generator = torch.Generator().manual_seed(seed)
    return ResultGradients(*(torch.randn(result.shape, generator=generator).to(result.dtype) for result in results))


def route(name: str) -> dict[str, Tensor]:
    """Results, and the input gradients for those of ``gradients_given``, by name."""
    case, dtype = CASES[name]
    inputs = inputs_of(name)
    layer = Layer.of(case.windows(dtype), case.config, inputs.weights)
    results = forward(layer, inputs, keep=True)
    gradients = empty_gradients(inputs)
    for gradient in gradients:
        gradient.fill_(torch.nan)
    given = gradients_given(results[:3], case.seed)
    gpu.backward(layer, inputs, results.kept, given, gradients)
    found = dict(zip(("logits", "parent poses", "assignments"), results[:3], strict=True))
    return found | {f"gradient of {of}": gradient for of, gradient in zip(NAMES, gradients, strict=True)}


def forward(layer: Layer, inputs: Inputs, *, keep: bool) -> Results:
    """Results; with ``keep`` also assignments and what a backward pass needs."""
    results = empty_results(inputs, layer, assignments=keep, keep=keep)
    for result in results:
        result.fill_(torch.nan)
    gpu.forward(layer, inputs, results)
    return results


def main(file: str) -> None:
    from matcaps.model.kernels.gpu import piece

    found = {name: route(name) for name in CASES if name != "windows-that-skip-children"}
    case, dtype = CASES["windows-that-overlap"]
    inputs = inputs_of("windows-that-overlap")
    kept_nothing = forward(Layer.of(case.windows(dtype), case.config, inputs.weights), inputs, keep=False)
    found["nothing-kept"] = {"logits": kept_nothing.logits, "parent poses": kept_nothing.means}
    piece.LARGEST_TABLE = piece.FEWEST = 1  # pieces of one image, segments of one child or row
    found["windows-that-skip-children"] = route("windows-that-skip-children")
    torch.save(found, file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
