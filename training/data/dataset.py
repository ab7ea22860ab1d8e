"""A set of labelled images, whole, in memory, as bytes: the largest that we train on has 112 MB."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels, and what else is known of each of them.

    Attributes:
        name: What errors and records call the set.
        classes: Names of the labels, in their order.
        images: uint8 [n, channels, height, width].
        labels: int64 [n], indices into ``classes``.
        info: More columns, int64 [n] each. What bears the same number in ``pair`` is one thing seen twice, and
            stays together when the set is split.

    Raises:
        ValueError: Types, shapes or counts do not fit, or a label lies outside the classes.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor
    info: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise ValueError(f"{self.name}: classes must have different names, found {self.classes}")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"{self.name}: images must be uint8 [n, channels, height, width], "
                f"found {self.images.dtype} {list(self.images.shape)}"
            )
        for column, values in {"labels": self.labels, **self.info}.items():
            if values.dtype != torch.int64 or values.shape != (len(self.images),):
                raise ValueError(
                    f"{self.name}: {column} must be int64 [{len(self.images)}], one per image, "
                    f"found {values.dtype} {list(values.shape)}"
                )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"{self.name}: labels must lie in 0–{len(self.classes) - 1}, "
                f"found {int(self.labels.min())}–{int(self.labels.max())}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, rows: Tensor) -> "ImageSet":
        """The images that ``rows`` names, in that order: int64 indices, or a bool for each image."""
        info = {column: values[rows] for column, values in self.info.items()}
        return replace(self, images=self.images[rows], labels=self.labels[rows], info=info)

    def among(self, classes: tuple[str, ...]) -> "ImageSet":
        """The same images with labels that are indices into other classes, which hold these.

        Raises:
            ValueError: They lack one.
        """
        if missing := [name for name in self.classes if name not in classes]:
            raise ValueError(f"{self.name} has the class {missing[0]}, which is none of {', '.join(classes)}")
        places = torch.tensor([classes.index(name) for name in self.classes])
        return replace(self, classes=classes, labels=places[self.labels])
