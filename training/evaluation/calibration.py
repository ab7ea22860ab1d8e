"""What an activation means: fitting a slope and an offset to held-out images, and measuring how well it was done.

Each class of each image is one statement, "this class is present", and its activation is the probability of that.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

BINS = 15
DRAWS, DRAWS_SEED = 20, 0  # of presences, to find the calibration error by chance
HALVES_SEED = 0  # of the two halves, each of which is calibrated by the other


class Fit(NamedTuple):
    """The slope and the offset of a calibration."""

    slope: float
    offset: float


class Quality(NamedTuple):
    """How well activations say which classes are present.

    Attributes:
        images: Number of images.
        brier: Brier score: Σ over classes of (activation − present)², mean over images.
        calibration_error: Expected calibration error over all statements, in 15 bins of equal width.
        by_chance: The error that as many statements would have if every activation were exactly right; few images have
            a large one.
        absent: Mean activation of the classes that are absent.
        present: Mean activation of the classes that are present.
    """

    images: int
    brier: float
    calibration_error: float
    by_chance: float
    absent: float
    present: float


class Bin(NamedTuple):
    """Statements of about the same activation: their mean activation, the share that is true, and their number."""

    activation: float
    share: float
    number: int


def fit(logits: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> Fit:
    """The slope and the offset that make sigmoid(slope · logit + offset) the likeliest probabilities.

    The targets are Platt's (1999), which stay away from 0 and 1 by the number of images. So the slope stays finite even
    if all images are classified correctly.
    """
    values, present = logits.double().flatten(), _present(logits, labels).double().flatten()
    positives, negatives = present.sum(), (1.0 - present).sum()
    targets = torch.where(present > 0.0, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    middle, spread = values.mean(), values.std().clamp_min(1e-6)
    values = (values - middle) / spread  # so that the search starts at a sensible scale
    unknowns = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # log of the slope, and the offset
    search = torch.optim.LBFGS([unknowns], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        found = functional.binary_cross_entropy_with_logits(unknowns[0].exp() * values + unknowns[1], targets)
        found.backward()
        return found

    with torch.enable_grad():
        search.step(loss)
    log_slope, offset = unknowns.detach()
    slope = log_slope.exp() / spread
    return Fit(float(slope), float(offset - slope * middle))


def cross_fitted(logits: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> Float[Tensor, "image class"]:
    """Activations of each half of the images, calibrated by the other half: as honest as unseen images.

    Raises:
        ValueError: There are fewer than two images.
    """
    if len(logits) < 2:
        raise ValueError(f"a calibration needs at least 2 held-out images, got {len(logits)}")
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(HALVES_SEED))
    first, second = order[::2], order[1::2]
    found = torch.empty_like(logits)
    for own, other in ((first, second), (second, first)):
        slope, offset = fit(logits[other], labels[other])
        found[own] = (logits[own] * slope + offset).sigmoid()
    return found


def quality(activations: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> Quality:
    """Measure activations against the labels of their images."""
    present = _present(activations, labels)
    draws = torch.Generator().manual_seed(DRAWS_SEED)
    by_chance = [_calibration_error(activations, torch.bernoulli(activations, generator=draws)) for _ in range(DRAWS)]
    return Quality(
        len(activations),
        float((activations - present).square().sum(1).mean()),
        _calibration_error(activations, present),
        sum(by_chance) / DRAWS,
        float(activations[present == 0.0].mean()),
        float(activations[present == 1.0].mean()),
    )


def reliability(activations: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> list[Bin]:
    """The statements in bins of equal width; empty bins are left out."""
    return _bins(activations, _present(activations, labels))


def _calibration_error(activations: Tensor, present: Tensor) -> float:
    bins = _bins(activations, present)
    return sum(of.number * abs(of.activation - of.share) for of in bins) / activations.numel()


def _bins(activations: Tensor, present: Tensor) -> list[Bin]:
    values, present = activations.double().flatten(), present.double().flatten()
    places = (values * BINS).long().clamp_max(BINS - 1)
    inside = [places == number for number in range(BINS)]
    return [Bin(float(values[of].mean()), float(present[of].mean()), int(of.sum())) for of in inside if of.any()]


def separation(positives: Float[Tensor, " n"], negatives: Float[Tensor, " m"]) -> float:
    """AUROC: the probability that a random positive scores higher than a random negative; ties count half.

    >>> separation(torch.tensor([0.9, 0.5]), torch.tensor([0.1, 0.5]))
    0.875
    """
    lower = torch.searchsorted(negatives.sort().values, positives)
    not_higher = torch.searchsorted(negatives.sort().values, positives, right=True)
    return float((lower + not_higher).double().mean() / 2 / len(negatives))


def _present(values: Float[Tensor, "image class"], labels: Int[Tensor, " image"]) -> Float[Tensor, "image class"]:
    return functional.one_hot(labels, values.shape[1]).to(values.dtype)
