"""Which images a network is judged by: never trained on, and never from an official test split."""

import torch

from training.data.dataset import ImageSet


def hold_out(
    images: ImageSet, *, instance: int | None = None, rows: int | None = None, seed: int = 0
) -> tuple[ImageSet, ImageSet]:
    """Split into images to train on and held-out ones, by instance or by rows drawn at random.

    By instance, every picture of that toy in each category is held out, so that the judgement is on objects
    never seen. By rows, the same seed draws the same rows.

    Raises:
        ValueError: There is no such instance, or nothing would be left to train on.
    """
    if (instance is None) == (rows is None):
        raise ValueError("hold out either one instance or a number of rows")
    if instance is not None:
        if "instance" not in images.info:
            raise ValueError(f"{images.name} has no instances to hold out; hold out rows")
        held = images.info["instance"] == instance
        if not held.any():
            known = ", ".join(str(value) for value in images.info["instance"].unique().tolist())
            raise ValueError(f"{images.name} has no instance {instance}; there are {known}")
    else:
        assert rows is not None
        if not 0 < rows < len(images):
            raise ValueError(f"of {len(images)} images of {images.name}, {rows} cannot be held out")
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        held = torch.zeros(len(images), dtype=torch.bool)
        held[order[:rows]] = True
    if held.all():
        raise ValueError(f"holding out instance {instance} of {images.name} leaves nothing to train on")
    return images.subset(~held), images.subset(held)
