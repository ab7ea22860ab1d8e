"""The suite poses: how well linear maps of the winning pose predict elevation, lighting and azimuth.

One map per predicted class is fitted to the training images and evaluated on held-out objects. The same maps fitted to
shuffled targets show the level of chance.
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
from matcaps.training.engine.predict import BATCH
from matcaps.training.evaluation.report import Report, columns

RIDGE = 1e-3  # times the mean square of a feature; needed where there are more features than images
COMPONENTS = 16  # principal components of the features, for differences of azimuth
PAIRS = 4  # drawn for each image
AZIMUTHS = {"azimuth": 10.0, "azimuth_relative": 20.0}  # degrees per step: original files, prepared file
TARGETS = ("elevation, R²", "lighting, accuracy", "azimuth difference, R²")


class Features(NamedTuple):
    """The features of a set of images.

    Attributes:
        features: float64 [n, feature].
        predicted: int64 [n], the predicted class, whose map is used.
        images: The images.
    """

    features: Tensor
    predicted: Tensor
    images: ImageSet


def poses(
    networks: Mapping[str, Network], training: ImageSet, held_out: ImageSet, *, seed: int = 0, progress: bool = True
) -> Report:
    """Predict elevation, lighting and azimuth from the winning class's pose, or from a CNN's last features.

    Args:
        networks: By name.
        training: The images that all networks were trained on.
        held_out: Images of other objects.
        seed: Of the pairs of views and the shuffled targets.
        progress: Whether to show progress bars.

    Raises:
        ValueError: The data set has no elevation, lighting or azimuth.
    """
    for images in (training, held_out):
        if not {"elevation", "lighting"} <= images.info.keys() or not AZIMUTHS.keys() & images.info.keys():
            raise ValueError(f"{images.name} has no elevation, lighting and azimuth; the suite poses needs smallNORB")
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name, network in networks.items():
        fitted, held = (extract_features(network, images, progress=progress) for images in (training, held_out))
        found[name] = {
            "elevation, R²": _elevation(fitted, held, seed),
            "lighting, accuracy": _lighting(fitted, held, seed),
            "azimuth difference, R²": _azimuth(fitted, held, seed),
        }
    rows = [["", *(f"{name}{what}" for name in networks for what in ("", " shuffled"))]]
    for target in TARGETS:
        values = [value for name in networks for value in found[name][target]]
        rows.append([target, *(f"{value:.3f}" for value in values)])
    table = (
        f"linear maps fitted to {len(training)} training images, evaluated on {len(held_out)} images of other objects; "
        f"the accuracy of lighting by chance is {1 / 6:.3f}\n\n{columns(rows)}"
    )
    content = {
        "fitted_to": len(training),
        "evaluated_on": len(held_out),
        "networks": {
            name: {target: dict(zip(("found", "shuffled"), pair, strict=True)) for target, pair in of.items()}
            for name, of in found.items()
        },
    }
    return Report(table, content, _figure(found))


@torch.no_grad()
def extract_features(network: Network, images: ImageSet, *, progress: bool = False) -> Features:
    """The 16 numbers of the winning class's pose of each image, or a CNN's last features."""
    network.eval()
    features, predicted = [], []
    for batch in tqdm(images.images.split(BATCH), desc="features", unit="batch", disable=not progress, leave=False):
        if isinstance(network, CapsNet):
            prediction = network(batch)
            best = prediction.logits.argmax(1)
            of_best = prediction.poses[torch.arange(len(best)), best].flatten(1)
        else:
            output = network(batch)
            best, of_best = output.logits.argmax(1), output.features
        features.append(of_best.double())
        predicted.append(best)
    return Features(torch.cat(features), torch.cat(predicted), images)


def linear_map(features: Tensor, targets: Tensor) -> Tensor:
    """Ridge regression of targets on features and a constant: weights [feature + 1, target]."""
    inputs = _with_constant(features)
    square = inputs.T @ inputs
    ridge = RIDGE * square.diagonal()[:-1].mean()
    penalty = torch.cat([ridge.expand(len(square) - 1), ridge.new_zeros(1)]).diag()  # no penalty for the constant
    weights: Tensor = torch.linalg.lstsq(square + penalty, inputs.T @ targets, driver="gelsd").solution
    return weights


def r_squared(predicted: Tensor, targets: Tensor) -> float:
    """1 − squared error / squared error of the mean: 1 is perfect, 0 is no better than the mean."""
    return float(1.0 - (predicted - targets).square().sum() / (targets - targets.mean(0)).square().sum())


def predictions(fitted: Features, held: Features, targets: Tensor, shuffled: torch.Generator | None = None) -> Tensor:
    """Fit one linear map per predicted class to ``targets`` of ``fitted``, and apply the maps to ``held``.

    With a generator the targets of each class are shuffled before fitting.
    """
    predicted = targets.mean(0).expand(len(held.features), -1).clone()  # for classes without fitted images
    for label in held.predicted.unique():
        of_fitted, of_held = fitted.predicted == label, held.predicted == label
        if not of_fitted.any():
            continue
        wanted = targets[of_fitted]
        if shuffled is not None:
            wanted = wanted[torch.randperm(len(wanted), generator=shuffled)]
        # One scale for all features: poses and a CNN's features have different units.
        centre, scale = fitted.features[of_fitted].mean(0), fitted.features[of_fitted].std().clamp_min(1e-12)
        weights = linear_map((fitted.features[of_fitted] - centre) / scale, wanted)
        predicted[of_held] = _with_constant((held.features[of_held] - centre) / scale) @ weights
    return predicted


def pairs_of_views(views: Features, seed: int) -> tuple[Features, Tensor]:
    """Pairs of views of one object that differ only in azimuth, with cosine and sine of the difference [n, 2].

    A pair's features are the products of its two views' features, because the cosine and sine of a difference of angles
    are sums of products.
    """
    info, generator = views.images.info, torch.Generator().manual_seed(seed)
    fixed = [info[name] for name in ("instance", "elevation", "lighting")] + [views.images.labels]
    count = len(views.predicted)
    # With two cameras, every second image is of the same camera.
    camera = torch.arange(count) % 2 if "pair" in info else torch.zeros(count, dtype=torch.int64)
    groups = torch.stack([*fixed, camera]).unique(dim=1, return_inverse=True)[1]
    order = torch.argsort(groups, stable=True)
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    first = torch.arange(len(groups)).repeat(PAIRS)
    other = (torch.rand(len(first), generator=generator) * sizes[groups[first]]).long()
    second = order[starts[groups[first]] + other]
    azimuth, step = next((name, step) for name, step in AZIMUTHS.items() if name in info)
    angle = torch.deg2rad(step * (info[azimuth][second] - info[azimuth][first]).double())
    kept = (first != second) & (views.predicted[first] == views.predicted[second])
    first, second, angle = first[kept], second[kept], angle[kept]
    products = views.features[first].unsqueeze(2) * views.features[second].unsqueeze(1)
    pairs = Features(products.flatten(1), views.predicted[first], views.images.subset(first))
    return pairs, torch.stack([angle.cos(), angle.sin()], 1)


def _elevation(fitted: Features, held: Features, seed: int) -> tuple[float, float]:
    wanted, true = (views.images.info["elevation"].double().unsqueeze(1) for views in (fitted, held))
    return _found_and_shuffled(fitted, held, wanted, true, seed)


def _lighting(fitted: Features, held: Features, seed: int) -> tuple[float, float]:
    wanted = functional.one_hot(fitted.images.info["lighting"]).double()
    true, shuffled = held.images.info["lighting"], torch.Generator().manual_seed(seed)
    scores = (predictions(fitted, held, wanted), predictions(fitted, held, wanted, shuffled))
    found, by_chance = (float((of_class.argmax(1) == true).double().mean()) for of_class in scores)
    return found, by_chance


def _azimuth(fitted: Features, held: Features, seed: int) -> tuple[float, float]:
    centre = fitted.features.mean(0)
    components = torch.linalg.eigh(torch.cov(fitted.features.T)).eigenvectors[:, -COMPONENTS:]
    fitted, held = (views._replace(features=(views.features - centre) @ components) for views in (fitted, held))
    (fitted_pairs, wanted), (held_pairs, true) = (pairs_of_views(views, seed) for views in (fitted, held))
    return _found_and_shuffled(fitted_pairs, held_pairs, wanted, true, seed)


def _found_and_shuffled(
    fitted: Features, held: Features, wanted: Tensor, true: Tensor, seed: int
) -> tuple[float, float]:
    """R² of the maps, and of the maps fitted to shuffled targets."""
    shuffled = torch.Generator().manual_seed(seed)
    return (
        r_squared(predictions(fitted, held, wanted), true),
        r_squared(predictions(fitted, held, wanted, shuffled), true),
    )


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


def _figure(found: Mapping[str, Mapping[str, tuple[float, float]]]) -> Figure:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, target in zip(figure.subplots(1, len(TARGETS)), TARGETS, strict=True):
        bars = [
            (f"{name}{what}", value)
            for name, of in found.items()
            for what, value in zip(("", "\nshuffled"), of[target], strict=True)
        ]
        axes.bar([name for name, _ in bars], [value for _, value in bars])
        axes.set_title(target)
        axes.set_ylim(min(0.0, *(value for _, value in bars)), 1)
        axes.tick_params(axis="x", labelrotation=45)
    return figure
