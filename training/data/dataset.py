"""A set of labelled images, held in memory as bytes; the largest training set takes 112 MB."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels, and further columns such as instance and elevation.

    Attributes:
        name: Name of the set in errors and reports.
        classes: Names of the labels, in their order.
        images: uint8 [n, channels, height, width].
        labels: int64 [n], indices into ``classes``.
        info: Further columns, int64 [n] each. Images with the same number in ``pair`` show one scene, and stay
            together when the set is split.
        files: The path of each image's file; empty if the images do not come from one file each.

    Raises:
        ValueError: Types, shapes or counts do not match, or a label is outside the classes.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor
    info: dict[str, Tensor] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise ValueError(f"{self.name}: classes must have different names, got {self.classes}")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"{self.name}: images must be uint8 [n, channels, height, width], "
                f"got {self.images.dtype} {list(self.images.shape)}"
            )
        for column, values in {"labels": self.labels, **self.info}.items():
            if values.dtype != torch.int64 or values.shape != (len(self.images),):
                raise ValueError(
                    f"{self.name}: {column} must be int64 [{len(self.images)}], one per image, "
                    f"got {values.dtype} {list(values.shape)}"
                )
        if self.files and len(self.files) != len(self.images):
            raise ValueError(f"{self.name}: files must be {len(self.images)}, one per image, got {len(self.files)}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"{self.name}: labels must lie in 0–{len(self.classes) - 1}, "
                f"got {int(self.labels.min())}–{int(self.labels.max())}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, rows: Tensor) -> "ImageSet":
        """The images at ``rows``: int64 indices in any order, or one bool per image."""
        info = {column: values[rows] for column, values in self.info.items()}
        files = tuple(self.files[row] for row in torch.arange(len(self))[rows].tolist()) if self.files else ()
        return replace(self, images=self.images[rows], labels=self.labels[rows], info=info, files=files)

    def among(self, classes: tuple[str, ...]) -> "ImageSet":
        """The same images, with labels that are indices into other classes.

        Raises:
            ValueError: One of the set's classes is not among them.
        """
        if missing := [name for name in self.classes if name not in classes]:
            raise ValueError(f"{self.name} has the class {missing[0]}, expected only {', '.join(classes)}")
        places = torch.tensor([classes.index(name) for name in self.classes])
        return replace(self, classes=classes, labels=places[self.labels])
