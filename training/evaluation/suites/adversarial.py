"""The suite adversarial: accuracy under the white-box attacks FGSM and BIM (paper, section 6.2)."""

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
from matcaps.training.engine.predict import BATCH
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
    """Measure the accuracy of each network under attack, by attack and ε.

    ε is in units of the standardised image, whose pixels have a standard deviation of 1. For every network the attacks
    increase the cross-entropy of the true class, through all routing iterations.

    Args:
        networks: By name; all take the same crop.
        images: Held out by all networks.
        epsilons: Largest changes of a pixel.
        progress: Whether to show a progress bar.
    """
    found: dict[str, dict[str, list[float]]] = {}
    batches = -(-len(images) // BATCH)
    with tqdm(
        total=len(networks) * len(STEPS) * len(epsilons) * batches, desc="attacks", unit="batch", disable=not progress
    ) as bar:
        for name, network in networks.items():
            found[name] = {
                attack_name: [accuracy(network, images, epsilon, steps, bar) for epsilon in epsilons]
                for attack_name, steps in STEPS.items()
            }
    heads = [(name, attack_name) for name in networks for attack_name in STEPS]
    rows = [["ε", *(f"{name} {attack_name}" for name, attack_name in heads)]]
    rows += [
        [f"{epsilon:g}", *(f"{found[name][attack_name][index]:.1%}" for name, attack_name in heads)]
        for index, epsilon in enumerate(epsilons)
    ]
    table = (
        f"accuracy on {len(images)} images under attack; ε in units of the standardised image; "
        f"BIM takes {STEPS['BIM']} steps of ε/{STEPS['BIM']}\n\n{columns(rows)}"
    )
    content = {"images": len(images), "epsilons": list(epsilons), "steps": STEPS, "accuracy": found}
    return Report(table, content, _figure(found, epsilons))


def accuracy(network: Network, images: ImageSet, epsilon: float, steps: int, bar: Any) -> float:
    """The share of images that are classified correctly after an attack."""
    network.eval()
    correct = 0
    for pixels, labels in zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True):
        attacked = attack(network, standardise(pixels, network.config), labels, epsilon, steps)
        with torch.no_grad():
            correct += int((network.forward_standardised(attacked).logits.argmax(1) == labels).sum())
        bar.update()
    return correct / len(images)


def attack(network: Network, pixels: Tensor, labels: Tensor, epsilon: float, steps: int) -> Tensor:
    """Change each pixel of standardised images by at most ε, so that the true class becomes less likely.

    One step is the fast gradient sign method (Goodfellow et al., 2015), several are the basic iterative method
    (Kurakin et al., 2017), with steps of ε / steps. Pixels may leave the range of an image.

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
        (gradient,) = torch.autograd.grad(loss, attacked)
        stepped = attacked.detach() + epsilon / steps * gradient.sign()
        attacked = torch.maximum(torch.minimum(stepped, pixels + epsilon), pixels - epsilon)
    return attacked.detach()


def _figure(found: Mapping[str, Mapping[str, list[float]]], epsilons: tuple[float, ...]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, attacks) in enumerate(found.items()):
        for (attack_name, accuracies), line in zip(attacks.items(), ("-", "--"), strict=True):
            percent = [100 * value for value in accuracies]
            axes.plot(epsilons, percent, line, color=f"C{colour}", marker="o", label=f"{name}, {attack_name}")
    axes.set_xlabel("ε, in standard deviations of an image's pixels")
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 100)
    axes.legend()
    return figure
