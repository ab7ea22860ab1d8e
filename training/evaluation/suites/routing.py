"""The suite routing: sharpness of assignments by iteration, dead capsules, and activations of each layer."""

from dataclasses import replace
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from matcaps.model import CapsNet, standardise
from matcaps.model.capsules import Capsules, RoutedCaps
from matcaps.model.routing.dispatch import route
from matcaps.training.data import ImageSet
from matcaps.training.engine.predict import BATCH
from matcaps.training.evaluation.report import Report, columns

DEAD_BELOW = 0.01
BINS = 20
LEAST_ENTROPY = 0.5  # nats: one child that is shared by two parents has log 2


class Layer(NamedTuple):
    """The statistics of a layer over all images.

    Attributes:
        entropies: Summed entropy of its children's assignments in each iteration; empty for PrimaryCaps.
            All are zero if no child has two parents that compete for it.
        highest: The highest activation of each capsule, [site, type].
        histogram: Number of activations in each of 20 equal parts of [0, 1].
    """

    entropies: list[float]
    highest: Tensor
    histogram: Tensor


def routing(network: CapsNet, images: ImageSet, *, progress: bool = True) -> Report:
    """Entropies of assignments relative to uniform ones, dead capsules, and histograms of activations."""
    layers: dict[str, Layer] = {}
    batches = images.images.split(BATCH)
    for batch in tqdm(batches, desc="routing", unit="batch", disable=not progress, leave=False):
        for name, layer in _layers(network, batch).items():
            layers[name] = _merged(layers[name], layer) if name in layers else layer
    sharpness = {
        name: [entropy / layer.entropies[0] for entropy in layer.entropies]
        for name, layer in layers.items()
        if layer.entropies and layer.entropies[0] > LEAST_ENTROPY
    }
    dead = {name: float((layer.highest < DEAD_BELOW).double().mean()) for name, layer in layers.items()}
    active = {name: float(_mean(layer.histogram)) for name, layer in layers.items()}
    iterations = network.config.routing.iterations
    rows = [["layer", *(f"iteration {number + 1}" for number in range(iterations)), "dead", "mean activation"]]
    for name in layers:
        entropies = [f"{value:.3f}" for value in sharpness[name]] if name in sharpness else ["–"] * iterations
        rows.append([name, *entropies, f"{dead[name]:.1%}", f"{active[name]:.2f}"])
    table = (
        f"{len(images)} images; entropy of assignments relative to uniform ones; "
        f"dead: activation never above {DEAD_BELOW:g}\n\n{columns(rows)}"
    )
    content = {
        "images": len(images),
        "entropy_by_iteration": sharpness,
        "dead": dead,
        "activation_histograms": {name: layer.histogram.tolist() for name, layer in layers.items()},
    }
    return Report(table, content, _figure(layers, sharpness))


def entropies(layer: RoutedCaps, children: Capsules) -> list[float]:
    """The summed entropy, in nats, of the children's assignments that each M-step used.

    Routing returns only the last assignments, so it is run with 1, 2, … iterations.
    """
    found = []
    for iterations in range(1, layer.routing.iterations + 1):
        routed = route(
            children.poses,
            children.activations,
            layer.weights,
            layer.beta_u,
            layer.beta_a,
            layer.windows,
            replace(layer.routing, iterations=iterations),
            assignments=True,
        )
        assert routed.assignments is not None
        found.append(float(torch.special.entr(routed.assignments.double()).sum()))
    return found


@torch.no_grad()
def _layers(network: CapsNet, images: Tensor) -> dict[str, Layer]:
    network.eval()
    output = network.forward_standardised(standardise(images, network.config))
    first, second = output.primary_caps, output.conv_caps_1
    classes = output.activations.unsqueeze(1)
    return {
        "primary_caps": _layer([], first.activations),
        "conv_caps_1": _layer(entropies(network.conv_caps_1, first), second.activations),
        "conv_caps_2": _layer(entropies(network.conv_caps_2, second), output.conv_caps_2.activations),
        "class_caps": _layer(entropies(network.class_caps, output.conv_caps_2), classes),
    }


def _layer(of_children: list[float], activations: Tensor) -> Layer:
    return Layer(of_children, activations.amax(0), torch.histc(activations.float(), BINS, 0.0, 1.0))


def _merged(one: Layer, other: Layer) -> Layer:
    return Layer(
        [sum(pair) for pair in zip(one.entropies, other.entropies, strict=True)],
        torch.maximum(one.highest, other.highest),
        one.histogram + other.histogram,
    )


def _mean(histogram: Tensor) -> Tensor:
    centres = (torch.arange(BINS) + 0.5) / BINS
    return (histogram * centres).sum() / histogram.sum()


def _figure(layers: dict[str, Layer], sharpness: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(3 * (1 + len(layers)), 3), layout="constrained")
    lines, *others = figure.subplots(1, 1 + len(layers))
    for name, values in sharpness.items():
        lines.plot(range(1, len(values) + 1), values, marker="o", label=name)
    lines.set_xticks(range(1, 1 + max(map(len, sharpness.values()))))
    lines.set_xlabel("iteration")
    lines.set_ylabel("entropy of assignments")
    lines.set_ylim(0, 1.05)
    lines.legend()
    for axes, (name, layer) in zip(others, layers.items(), strict=True):
        shares = layer.histogram / layer.histogram.sum()
        axes.bar((torch.arange(BINS) + 0.5).numpy() / BINS, shares.numpy(), width=1 / BINS)
        axes.set_title(name)
        axes.set_xlabel("activation")
    return figure
