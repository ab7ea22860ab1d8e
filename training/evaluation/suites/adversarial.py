"""How little it takes to fool a network that one knows (paper, section 6.2): FGSM and BIM, white-box."""

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from matcaps.model import standardise
from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.evaluation.metrics import BATCH
from matcaps.training.evaluation.report import Report, columns

EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
STEPS = {"FGSM": 1, "BIM": 10}


def adversarial(
    networks: Mapping[str, Network],
    images: ImageSet,
    *,
    epsilons: tuple[float, ...] = EPSILONS,
    progress: bool = True,
) -> Report:
    """The share of images that each network still classifies rightly, by attack and ε.

    ε is in units of the standardised image, in which pixels have a standard deviation of 1. Each attack climbs the
    cross-entropy of the true class in every network alike, through all routing iterations.

    Args:
        networks: By name; all take the same crop.
        images: Of objects that none was trained on.
        epsilons: Largest change of a pixel.
    """
    found: dict[str, dict[str, list[float]]] = {}
    batches = -(-len(images) // BATCH)
    with tqdm(
        total=len(networks) * len(STEPS) * len(epsilons) * batches, desc="attacks", unit="batch", disable=not progress
    ) as bar:
        for name, network in networks.items():
            found[name] = {
                kind: [accuracy(network, images, epsilon, steps, bar) for epsilon in epsilons]
                for kind, steps in STEPS.items()
            }
    heads = [(name, kind) for name in networks for kind in STEPS]
    rows = [["ε", *(f"{name} {kind}" for name, kind in heads)]]
    rows += [
        [f"{epsilon:g}", *(f"{found[name][kind][index]:.1%}" for name, kind in heads)]
        for index, epsilon in enumerate(epsilons)
    ]
    table = (
        f"accuracy on {len(images)} images under attack; ε in units of the standardised image; "
        f"BIM takes {STEPS['BIM']} steps of ε/{STEPS['BIM']}\n\n{columns(rows)}"
    )
    content = {"images": len(images), "epsilons": list(epsilons), "steps": STEPS, "accuracy": found}
    return Report(table, content, _picture(found, epsilons))


def accuracy(network: Network, images: ImageSet, epsilon: float, steps: int, bar: Any) -> float:
    """The share of images that are classified rightly after an attack."""
    network.eval()
    right = 0
    for pixels, labels in zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True):
        attacked = attack(network, standardise(pixels, network.config), labels, epsilon, steps)
        with torch.no_grad():
            right += int((network.forward_standardised(attacked).logits.argmax(1) == labels).sum())
        bar.update()
    return right / len(images)


def attack(network: Network, pixels: Tensor, labels: Tensor, epsilon: float, steps: int) -> Tensor:
    """Standardised images changed by at most ε each pixel, so that the true class becomes less likely.

    One step is the fast gradient sign method (Goodfellow et al., 2015), several are the basic iterative method
    (Kurakin et al., 2017), each step ε / steps long. Pixels may leave what a camera could see.

    Args:
        network: In evaluation mode.
        pixels: [batch, channels, crop, crop].
        labels: int64 [batch].
        epsilon: At least 0.
        steps: At least 1.
    """
    if not epsilon:
        return pixels
    attacked = pixels
    for _ in range(steps):
        attacked = attacked.detach().requires_grad_()
        loss = functional.cross_entropy(network.forward_standardised(attacked).logits, labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, attacked)
        stepped = attacked.detach() + epsilon / steps * slope.sign()
        attacked = torch.maximum(torch.minimum(stepped, pixels + epsilon), pixels - epsilon)
    return attacked.detach()


def _picture(found: Mapping[str, Mapping[str, list[float]]], epsilons: tuple[float, ...]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, kinds) in enumerate(found.items()):
        for (kind, accuracies), line in zip(kinds.items(), ("-", "--"), strict=True):
            percent = [100 * value for value in accuracies]
            axes.plot(epsilons, percent, line, color=f"C{colour}", marker="o", label=f"{name}, {kind}")
    axes.set_xlabel("ε, in standard deviations of an image's pixels")
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 100)
    axes.legend()
    return figure
