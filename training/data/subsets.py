"""Subsets of a set of images: held-out images, random samples, and images at named elevations or lightings.

Which of these a run uses is decided in ``matcaps.training.data.splits``.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from matcaps.training.data.dataset import ImageSet


def hold_out(
    images: ImageSet,
    *,
    instances: tuple[int, ...] | None = None,
    rows: int | None = None,
    share: float | None = None,
    seed: int = 0,
) -> tuple[ImageSet, ImageSet]:
    """Split into training images and held-out images, both in their old order; pairs stay together.

    Exactly one of ``instances``, ``rows`` and ``share`` must be given.

    Args:
        images: The set to split.
        instances: Hold out every image of these instances in each category.
        rows: Hold out this many images, drawn by the seed.
        share: Hold out this share of every class, in (0, 1), drawn by the seed; at least one image of each.
        seed: The same seed draws the same images.

    Raises:
        ValueError: None or several of the three are given, an instance is not there, or no training image is left.
    """
    ways = {"instances": instances, "rows": rows, "share": share}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        raise ValueError(f"hold out one of instances, rows or share, got {', '.join(chosen) or 'none'}")
    generator = torch.Generator().manual_seed(seed)
    if instances is not None:
        held = _by_instances(images, instances)
    elif rows is not None:
        held = _by_rows(images, rows, generator)
    else:
        assert share is not None
        held = _by_share(images, share, generator)
    return images.subset(~held), images.subset(held)


def join(first: ImageSet, second: ImageSet) -> ImageSet:
    """The images of both sets, which have the same classes, without their columns; the name is that of the first."""
    files = (*first.files, *second.files) if first.files and second.files else ()
    images, labels = torch.cat([first.images, second.images]), torch.cat([first.labels, second.labels])
    return replace(first, images=images, labels=labels, info={}, files=files)


def sample(images: ImageSet, count: int) -> ImageSet:
    """Draw ``count`` images, or all if there are fewer, in their old order; the same ones each time."""
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    return images.subset(drawn.sort().values)


def select(images: ImageSet, **values: tuple[int, ...]) -> Tensor:
    """Select the images that have one of the given values in each column (elevation, lighting): bool [n].

    A column without values selects every image.

    Raises:
        ValueError: The set has no such column, or no image with one of the values.
    """
    under = torch.ones(len(images), dtype=torch.bool)
    for column, wanted in values.items():
        if not wanted:
            continue
        if column not in images.info:
            raise ValueError(f"{images.name} has no column {column}, got {column} {', '.join(map(str, wanted))}")
        found = images.info[column]
        known = found.unique().tolist()
        if missing := [value for value in wanted if value not in known]:
            raise ValueError(f"{images.name} has no {column} {missing[0]}; there are {', '.join(map(str, known))}")
        under &= torch.isin(found, torch.tensor(wanted))
    return under


def name_instances(instances: Sequence[int]) -> str:
    """Instances in words.

    >>> name_instances([4]), name_instances((7, 8, 9))
    ('instance 4', 'instances 7, 8, 9')
    """
    return f"instance{'s' * (len(instances) > 1)} {', '.join(map(str, instances))}"


def _by_instances(images: ImageSet, instances: tuple[int, ...]) -> Tensor:
    if "instance" not in images.info:
        raise ValueError(f"{images.name} has no instances to hold out; hold out rows or a share")
    held = select(images, instance=instances)
    if held.all():
        raise ValueError(f"{images.name} has only {name_instances(instances)}: no training image would be left")
    return held


def _by_rows(images: ImageSet, rows: int, generator: torch.Generator) -> Tensor:
    if not 0 < rows < len(images):
        raise ValueError(
            f"between 1 and {len(images) - 1} of the {len(images)} images of {images.name} can be held out, got {rows}"
        )
    group = _groups(images)
    sizes = group.bincount()
    order = torch.randperm(len(sizes), generator=generator)
    drawn = order[sizes[order].cumsum(0) <= rows]
    held = torch.isin(group, drawn)
    if int(held.sum()) != rows:
        raise ValueError(f"{rows} images of {images.name} cannot be held out without splitting a pair")
    return held


def _by_share(images: ImageSet, share: float, generator: torch.Generator) -> Tensor:
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share to hold out must lie between 0 and 1, got {share}")
    group = _groups(images)
    held = torch.zeros(len(images), dtype=torch.bool)
    for label, name in enumerate(images.classes):
        members = group[images.labels == label].unique()
        if len(members) < 2:
            raise ValueError(f"class {name} of {images.name} needs 2 images to hold one out, got {len(members)}")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held |= torch.isin(group, members[torch.randperm(len(members), generator=generator)[:count]])
    return held


def _groups(images: ImageSet) -> Tensor:
    """A group number for each image, int64 [n], from 0 without gaps; images of a group stay together."""
    if "pair" not in images.info:
        return torch.arange(len(images))
    group: Tensor = images.info["pair"].unique(return_inverse=True)[1]
    return group
