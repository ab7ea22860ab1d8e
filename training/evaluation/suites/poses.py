"""What a network's last features say of how a thing was seen: elevation, lighting, azimuth, by linear maps.

Each map is fitted to the images that the network was trained on, for each predicted class by itself, and judged on
objects that it was not trained on. Beside it stands the same map fitted to shuffled targets.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from matcaps.model import CapsNet
from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.evaluation.metrics import BATCH
from matcaps.training.evaluation.report import Report, columns

RIDGE = 1e-3  # of the mean square of a feature: what the pseudo-inverse needs where features outnumber images
COMPONENTS = 16
PAIRS = 4  # with other azimuths, of each image
AZIMUTHS = {"azimuth": 10.0, "azimuth_relative": 20.0}  # degrees of a step: in original files, in the prepared form
QUESTIONS = ("elevation, R²", "lighting, accuracy", "azimuth difference, R²")


class Seen(NamedTuple):
    """What a network saw in images.

    Attributes:
        features: float64 [n, feature].
        predicted: int64 [n], the class, whose map is asked.
        images: What was looked at.
    """

    features: Tensor
    predicted: Tensor
    images: ImageSet


def poses(
    networks: Mapping[str, Network], training: ImageSet, held_out: ImageSet, *, seed: int = 0, progress: bool = True
) -> Report:
    """How well the winning class's pose (of a CNN: its last features) tells how an object was seen.

    Args:
        networks: By name.
        training: The images that all were trained on.
        held_out: Of other objects.
        seed: Draws pairs of views, and shuffles.

    Raises:
        ValueError: The images do not say how they were taken.
    """
    for images in (training, held_out):
        if not {"elevation", "lighting"} <= images.info.keys() or not AZIMUTHS.keys() & images.info.keys():
            raise ValueError(f"{images.name} knows no elevation, lighting and azimuth; the suite is for smallNORB")
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name, network in networks.items():
        fitted, judged = (extract_features(network, images, progress=progress) for images in (training, held_out))
        found[name] = {
            "elevation, R²": _elevation(fitted, judged, seed),
            "lighting, accuracy": _lighting(fitted, judged, seed),
            "azimuth difference, R²": _azimuth(fitted, judged, seed),
        }
    rows = [["", *(f"{name}{what}" for name in networks for what in ("", " shuffled"))]]
    for question in QUESTIONS:
        values = [value for name in networks for value in found[name][question]]
        rows.append([question, *(f"{value:.3f}" for value in values)])
    table = (
        f"linear maps fitted to {len(training)} images of the training, judged on {len(held_out)} of other objects; "
        f"{1 / 6:.3f} of lightings are guessed rightly by chance\n\n{columns(rows)}"
    )
    content = {
        "fitted_to": len(training),
        "judged_on": len(held_out),
        "networks": {
            name: {question: dict(zip(("found", "shuffled"), pair, strict=True)) for question, pair in of.items()}
            for name, of in found.items()
        },
    }
    return Report(table, content, _picture(found))


@torch.no_grad()
def extract_features(network: Network, images: ImageSet, *, progress: bool = False) -> Seen:
    """The 16 numbers of the winning class's pose of each image, or a CNN's last features."""
    network.eval()
    features, predicted = [], []
    for batch in tqdm(images.images.split(BATCH), desc="looking", unit="batch", disable=not progress, leave=False):
        if isinstance(network, CapsNet):
            prediction = network(batch)
            best = prediction.logits.argmax(1)
            of_best = prediction.poses[torch.arange(len(best)), best].flatten(1)
        else:
            guess = network(batch)
            best, of_best = guess.logits.argmax(1), guess.features
        features.append(of_best.double())
        predicted.append(best)
    return Seen(torch.cat(features), torch.cat(predicted), images)


def linear_map(features: Tensor, targets: Tensor) -> Tensor:
    """The weights [feature + 1, target] that fit targets best from features and a constant, by ridge regression."""
    inputs = _with_constant(features)
    square = inputs.T @ inputs
    ridge = RIDGE * square.diagonal()[:-1].mean()
    penalty = torch.cat([ridge.expand(len(square) - 1), ridge.new_zeros(1)]).diag()  # the constant is free
    weights: Tensor = torch.linalg.lstsq(square + penalty, inputs.T @ targets, driver="gelsd").solution
    return weights


def r_squared(found: Tensor, targets: Tensor) -> float:
    """1 − the squared error over that of the mean; 1 is right everywhere, 0 no better than the mean."""
    return float(1.0 - (found - targets).square().sum() / (targets - targets.mean(0)).square().sum())


def answers(fitted: Seen, judged: Seen, targets: Tensor, shuffled: torch.Generator | None = None) -> Tensor:
    """What linear maps, one for each predicted class, say of the judged: fitted to ``targets`` of the fitted."""
    said = targets.mean(0).expand(len(judged.features), -1).clone()  # of a class that nothing was fitted to
    for label in judged.predicted.unique():
        of_fitted, of_judged = fitted.predicted == label, judged.predicted == label
        if not of_fitted.any():
            continue
        wanted = targets[of_fitted]
        if shuffled is not None:
            wanted = wanted[torch.randperm(len(wanted), generator=shuffled)]
        # One scale for all features: poses and a CNN's features come in units of their own.
        centre, scale = fitted.features[of_fitted].mean(0), fitted.features[of_fitted].std().clamp_min(1e-12)
        weights = linear_map((fitted.features[of_fitted] - centre) / scale, wanted)
        said[of_judged] = _with_constant((judged.features[of_judged] - centre) / scale) @ weights
    return said


def views(seen: Seen, seed: int) -> tuple[Seen, Tensor]:
    """Pairs of views of one object that differ in azimuth alone, and cosine and sine of the difference [n, 2].

    A pair's features are the products of its two views' features: a difference of angles shows in products of their
    cosines and sines, not in sums.
    """
    info, generator = seen.images.info, torch.Generator().manual_seed(seed)
    fixed = [info[name] for name in ("instance", "elevation", "lighting")] + [seen.images.labels]
    # Of two cameras' pictures every second one is of the same camera.
    camera = (
        torch.arange(len(seen.predicted)) % 2 if "pair" in info else torch.zeros(len(seen.predicted), dtype=torch.int64)
    )
    groups = torch.stack([*fixed, camera]).unique(dim=1, return_inverse=True)[1]
    order = torch.argsort(groups, stable=True)
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    first = torch.arange(len(groups)).repeat(PAIRS)
    other = (torch.rand(len(first), generator=generator) * sizes[groups[first]]).long()
    second = order[starts[groups[first]] + other]
    azimuth, step = next((name, step) for name, step in AZIMUTHS.items() if name in info)
    angle = torch.deg2rad(step * (info[azimuth][second] - info[azimuth][first]).double())
    kept = (first != second) & (seen.predicted[first] == seen.predicted[second])
    first, second, angle = first[kept], second[kept], angle[kept]
    products = seen.features[first].unsqueeze(2) * seen.features[second].unsqueeze(1)
    pairs = Seen(products.flatten(1), seen.predicted[first], seen.images.subset(first))
    return pairs, torch.stack([angle.cos(), angle.sin()], 1)


def _elevation(fitted: Seen, judged: Seen, seed: int) -> tuple[float, float]:
    wanted, true = (seen.images.info["elevation"].double().unsqueeze(1) for seen in (fitted, judged))
    shuffled = torch.Generator().manual_seed(seed)
    return (
        r_squared(answers(fitted, judged, wanted), true),
        r_squared(answers(fitted, judged, wanted, shuffled), true),
    )


def _lighting(fitted: Seen, judged: Seen, seed: int) -> tuple[float, float]:
    wanted = functional.one_hot(fitted.images.info["lighting"]).double()
    true, shuffled = judged.images.info["lighting"], torch.Generator().manual_seed(seed)
    said = (answers(fitted, judged, wanted), answers(fitted, judged, wanted, shuffled))
    right, by_chance = (float((scores.argmax(1) == true).double().mean()) for scores in said)
    return right, by_chance


def _azimuth(fitted: Seen, judged: Seen, seed: int) -> tuple[float, float]:
    centre = fitted.features.mean(0)
    directions = torch.linalg.eigh(torch.cov(fitted.features.T)).eigenvectors[:, -COMPONENTS:]  # the principal ones
    fitted, judged = (seen._replace(features=(seen.features - centre) @ directions) for seen in (fitted, judged))
    (fitted_pairs, wanted), (judged_pairs, true) = (views(seen, seed) for seen in (fitted, judged))
    shuffled = torch.Generator().manual_seed(seed)
    return (
        r_squared(answers(fitted_pairs, judged_pairs, wanted), true),
        r_squared(answers(fitted_pairs, judged_pairs, wanted, shuffled), true),
    )


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


def _picture(found: Mapping[str, Mapping[str, tuple[float, float]]]) -> Figure:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, question in zip(figure.subplots(1, len(QUESTIONS)), QUESTIONS, strict=True):
        bars = [
            (f"{name}{what}", value)
            for name, of in found.items()
            for what, value in zip(("", "\nshuffled"), of[question], strict=True)
        ]
        axes.bar([name for name, _ in bars], [value for _, value in bars])
        axes.set_title(question)
        axes.set_ylim(min(0.0, *(value for _, value in bars)), 1)
        axes.tick_params(axis="x", labelrotation=45)
    return figure
