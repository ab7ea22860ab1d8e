"""Error with its confidence interval, confusion matrix, errors by instance, and log-loss by toy."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.predict import predict, predict_logits

Toy = tuple[str, int]
"""Class and instance: one toy of smallNORB."""


class ToyScore(NamedTuple):
    """How a network does on the images of one toy.

    Attributes:
        images: Number of images. Each counts once for every network that classified it.
        error: Share classified wrongly.
        log_loss: Mean of −log of the probability of the true class, in nats. The probabilities are the softmax of the
            class logits, which are what cross-entropy trains.
    """

    images: int
    error: float
    log_loss: float


class Evaluation(NamedTuple):
    """The errors of a network on a set of images.

    Attributes:
        images: Number of images.
        error: Share classified wrongly.
        interval: 95 % confidence interval of the error, by Wilson's score.
        confusion: int64 [classes, classes]; rows are true classes, columns predicted ones.
        by_instance: Error for each (class, instance), where the data set has instances.
    """

    images: int
    error: float
    interval: tuple[float, float]
    confusion: Tensor
    by_instance: dict[tuple[str, int], float]


def wilson(wrong: int, images: int) -> tuple[float, float]:
    """95 % confidence interval of a share, valid near 0 too (Wilson, 1927).

    >>> low, high = wilson(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.037)
    """
    z = 1.959964
    share = wrong / images
    centre = share + z * z / (2 * images)
    spread = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def evaluate(network: Network, images: ImageSet, *, progress: bool = False) -> Evaluation:
    """Evaluate a network on a set of images."""
    return compare(predict(network, images.images, progress=progress), images)


def evaluate_toys(network: Network, images: ImageSet, *, progress: bool = False) -> dict[Toy, ToyScore]:
    """Evaluate a network on each toy of a set of images that has instances."""
    return score_toys(predict_logits(network, images.images, progress=progress), images)


def score_toys(logits: Tensor, images: ImageSet) -> dict[Toy, ToyScore]:
    """Score class logits, [n, classes], for each toy of the images."""
    losses = functional.cross_entropy(logits.double(), images.labels, reduction="none")
    wrong = (logits.argmax(1) != images.labels).double()
    instances = images.info["instance"]
    scores = {}
    for label, name in enumerate(images.classes):
        for instance in instances.unique().tolist():
            of_toy = (images.labels == label) & (instances == instance)
            if of_toy.any():
                error, log_loss = float(wrong[of_toy].mean()), float(losses[of_toy].mean())
                scores[name, instance] = ToyScore(int(of_toy.sum()), error, log_loss)
    return scores


def compare(predicted: Tensor, images: ImageSet) -> Evaluation:
    """Compare predicted classes, int64 [n], with the labels of the images."""
    wrong = predicted != images.labels
    classes = len(images.classes)
    confusion = torch.bincount(images.labels * classes + predicted, minlength=classes**2)
    by_instance = {}
    if "instance" in images.info:
        instances = images.info["instance"]
        for label, name in enumerate(images.classes):
            for instance in instances.unique().tolist():
                of_instance = (images.labels == label) & (instances == instance)
                if of_instance.any():
                    by_instance[name, instance] = float(wrong[of_instance].float().mean())
    count = int(wrong.sum())
    return Evaluation(
        len(images),
        count / len(images),
        wilson(count, len(images)),
        confusion.view(classes, classes),
        by_instance,
    )
