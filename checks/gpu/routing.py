"""``scripts/check-gpu routing``: the GPU's kernels beside plain float64 routing, and timed beside the textbook."""

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
import tyro
from torch import Tensor

from benchmarks.routing.textbook import textbook_routing
from matcaps.model import mnist, small_norb, small_norb_small
from matcaps.model.capsules import RoutedCaps
from matcaps.model.config import CapsNetConfig
from matcaps.model.kernels import gpu
from matcaps.model.kernels.layer import (
    InputGradients,
    Inputs,
    Layer,
    ResultGradients,
    Results,
    empty_gradients,
    empty_results,
)
from matcaps.model.network import CapsNet
from matcaps.model.routing.eager import em_routing

PRESETS: dict[str, Callable[[], CapsNetConfig]] = {
    "small_norb": small_norb,
    "small_norb_small": small_norb_small,
    "mnist": mnist,
}
COMPETITIONS: tuple[Literal["parents", "positions"], ...] = ("parents", "positions")
LAYERS = ("conv_caps_1", "conv_caps_2", "class_caps")
TENSORS = ("logits", "poses", "assignments", "∂poses", "∂activations", "∂weights", "∂beta_u", "∂beta_a")
ALLOWED = 30.0  # times the error of plain routing in float32


def check(batch: int = 8, timed_batch: int = 256, rounds: int = 10) -> None:
    """Compare values and gradients on the layers of the presets, time them, and exit with 1 if any is wrong.

    Args:
        batch: images of the comparison
        timed_batch: images of the timing; fewer for the textbook if they do not fit
        rounds: timed runs; the figure is their median
    """
    if not torch.cuda.is_available() or not gpu.available():
        sys.exit("expected a CUDA GPU that torch can use, and Triton")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    right = True
    with torch.device("cuda"):
        for preset, make in PRESETS.items():
            for competition in COMPETITIONS:
                torch.manual_seed(0)
                config = make()
                network = CapsNet(replace(config, routing=replace(config.routing, competition=competition))).cuda()
                for name in LAYERS:
                    right &= compare(f"{preset}.{name}, {competition}", getattr(network, name), batch)
        torch.manual_seed(0)
        measure(CapsNet(small_norb()).cuda(), timed_batch, rounds)
    sys.exit(not right)


def compare(title: str, caps: RoutedCaps, batch: int) -> bool:
    """Whether a layer's results and gradients are right and equal in two runs; prints what is wrong."""
    inputs = inputs_of(caps, batch)
    layer = Layer.of(caps.windows, caps.routing, inputs.weights)
    results = forward(layer, inputs, assignments=True)
    given = ResultGradients(*(torch.randn_like(result) for result in results[:3]))
    found = (*results[:3], *backward(layer, inputs, results, given))
    again = forward(layer, inputs, assignments=True)
    same = (*again[:3], *backward(layer, inputs, again, given))
    truth = plainly(caps, inputs, given, torch.float64)
    plain = plainly(caps, inputs, given, torch.float32)
    right = True
    for name, one, other, true, rough in zip(TENSORS, found, same, truth, plain, strict=True):
        error, allowed = distance(one, true), ALLOWED * distance(rough, true) + 1e-5
        if not torch.equal(one, other):
            print(f"{title} {name}: two runs differ")
            right = False
        if not error <= allowed:  # also true for NaN
            print(f"{title} {name}: relative error at most {allowed:.1e}, got {error:.1e}")
            right = False
    errors = " ".join(f"{distance(one, true):.0e}" for one, true in zip(found, truth, strict=True))
    print(f"{title}: {'right' if right else 'WRONG'} ({errors})")
    return right


def measure(network: CapsNet, batch: int, rounds: int) -> None:
    """Milliseconds of a forward pass and of a training step through ConvCaps1 and ConvCaps2, each on its own."""
    for name in LAYERS[:2]:
        caps = getattr(network, name)
        inputs = inputs_of(caps, batch)
        layer = Layer.of(caps.windows, caps.routing, inputs.weights)

        def kernels(training: bool, inputs: Inputs = inputs, layer: Layer = layer) -> None:
            results = forward(layer, inputs, assignments=False, keep=training)
            if training:
                backward(layer, inputs, results, ResultGradients(results.logits, results.means, None))

        def textbook(training: bool, inputs: Inputs = inputs, caps: RoutedCaps = caps) -> None:
            poses, activations, weights, beta_u, beta_a = (
                tensor.detach().requires_grad_(training) for tensor in inputs
            )
            parameters = weights, beta_u, beta_a
            activations, means, _ = textbook_routing(poses, activations, *parameters, caps.windows, caps.routing)
            if training:
                (activations.sum() + means.square().sum()).backward()

        for title, training in (("forward", False), ("training", True)):
            ours = milliseconds(lambda: kernels(training), rounds) / batch  # noqa: B023
            some = batch
            while some:
                fewer = inputs._replace(poses=inputs.poses[:some], activations=inputs.activations[:some])
                try:
                    theirs = milliseconds(lambda: textbook(training, fewer), rounds) / some  # noqa: B023
                    break
                except torch.cuda.OutOfMemoryError:
                    torch.cuda.empty_cache()
                    some //= 2
            else:
                sys.exit("expected memory for the textbook with one image, got none")
            print(
                f"small_norb.{name} {title}: {1e3 * ours:.2f} µs an image at batch {batch}, the textbook "
                f"{1e3 * theirs:.2f} at batch {some}: {theirs / ours:.1f} times as long"
            )


def milliseconds(run: Callable[[], None], rounds: int) -> float:
    """The median of the runs, after three that compile and warm up."""
    times = []
    for round_ in range(rounds + 3):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        if round_ >= 3:
            times.append(float(begin.elapsed_time(end)))
    return statistics.median(times)


def inputs_of(caps: RoutedCaps, batch: int) -> Inputs:
    """Random children and the layer's own parameters, with betas that matter."""
    child_types, parent_types = caps.weights.shape[1:3]
    poses = torch.randn(batch, caps.windows.child_sites, child_types, 4, 4)
    activations = torch.rand(batch, caps.windows.child_sites, child_types)
    beta_u, beta_a = 0.2 * torch.randn(parent_types), torch.randn(parent_types)
    return Inputs(poses, activations, caps.weights.detach(), beta_u, beta_a)


def forward(layer: Layer, inputs: Inputs, *, assignments: bool, keep: bool = True) -> Results:
    results = empty_results(inputs, layer, assignments=assignments, keep=keep)
    gpu.forward(layer, inputs, results)
    return results


def backward(layer: Layer, inputs: Inputs, results: Results, given: ResultGradients) -> InputGradients:
    gradients = empty_gradients(inputs)
    gpu.backward(layer, inputs, results.kept, given, gradients)
    return gradients


def plainly(caps: RoutedCaps, inputs: Inputs, given: ResultGradients, dtype: torch.dtype) -> list[Tensor]:
    """Results and gradients of plain routing."""
    poses, activations, weights, beta_u, beta_a = (tensor.to(dtype, copy=True).requires_grad_() for tensor in inputs)
    routed = em_routing(poses, activations, weights, beta_u, beta_a, caps.windows, caps.routing)
    assert routed.assignments is not None
    results = [routed.activation_logits, routed.poses, routed.assignments]
    leaves = [poses, activations, weights, beta_u, beta_a]
    given_in_dtype = [gradient.to(dtype) for gradient in given if gradient is not None]
    gradients = torch.autograd.grad(results, leaves, given_in_dtype)
    return [*(result.detach() for result in results), *gradients]


def distance(found: Tensor, truth: Tensor) -> float:
    """The largest error relative to the largest element."""
    return float((found.double() - truth.double()).abs().max() / truth.double().abs().max())


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-gpu routing")
