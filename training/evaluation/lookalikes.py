"""Pictures of different classes that look alike: the same pixels, or nearly the same primary capsules."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from matcaps.training.data import ImageSet

SKETCH = 1024  # numbers for each picture; squared distances are right to about 5 %
SKETCH_SEED = 0


class Pair(NamedTuple):
    """Two pictures of different classes, by their rows.

    Attributes:
        distance: Between their primary capsules; 1 is the median of all pairs of different classes.
    """

    first: int
    second: int
    distance: float


def same_pictures(images: ImageSet) -> list[list[int]]:
    """The rows of each picture that is there in several classes, pixel for pixel."""
    rows: dict[bytes, list[int]] = {}
    for row, image in enumerate(images.images):
        rows.setdefault(image.numpy().tobytes(), []).append(row)
    return [of for of in rows.values() if len({int(images.labels[row]) for row in of}) > 1]


def sketches(batches: Iterable[tuple[Tensor, Tensor]]) -> Float[Tensor, "image feature"]:
    """A few numbers for each picture, whose distances are about those of its primary capsules.

    They are the poses times the activations, as routing weighs them, projected by random signs (a count sketch:
    Charikar, Chen, Farach-Colton, 2002). The projection is the same each time.

    Args:
        batches: Activations [batch, site, type] and poses [batch, site, type, 4, 4].
    """
    found, places, signs = [], None, None
    for activations, poses in batches:
        values = (activations[..., None, None] * poses).flatten(1)
        if values.shape[1] <= SKETCH:
            found.append(values)
            continue
        if places is None or signs is None:
            draws = torch.Generator().manual_seed(SKETCH_SEED)
            places = torch.randint(SKETCH, values.shape[1:], generator=draws)
            signs = torch.randint(2, values.shape[1:], generator=draws) * 2.0 - 1.0
        found.append(values.new_zeros(len(values), SKETCH).index_add_(1, places, values * signs))
    return torch.cat(found)


def nearest_pairs(features: Float[Tensor, "image feature"], images: ImageSet, count: int) -> list[Pair]:
    """The pairs of pictures of different classes that are nearest to each other.

    Each picture is paired with its nearest neighbour in another class. Pictures with the same pixels are left out.
    """
    labels: Int[Tensor, " image"] = images.labels
    distances = torch.cdist(features, features)
    others = labels[:, None] != labels
    if not others.any():
        return []
    usual = max(float(distances[others].median()), 1e-9)
    pixels = images.images.flatten(1)
    distances[~others] = torch.inf
    for row, neighbour in enumerate(distances.argmin(1).tolist()):
        while distances[row, neighbour].isfinite() and pixels[row].equal(pixels[neighbour]):
            distances[row, neighbour] = torch.inf
            neighbour = int(distances[row].argmin())
    nearest, neighbours = distances.min(1)
    pairs = {
        (min(row, neighbour), max(row, neighbour)): distance / usual
        for row, (neighbour, distance) in enumerate(zip(neighbours.tolist(), nearest.tolist(), strict=True))
        if distance < float("inf")
    }
    return [Pair(*rows, distance) for rows, distance in sorted(pairs.items(), key=lambda item: item[1])[:count]]
