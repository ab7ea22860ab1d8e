"""What a network answers to pictures of nothing, beside images in which a class is present."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from matcaps.training.data.negatives import KINDS
from matcaps.training.evaluation.calibration import separation

PICTURES = 200  # of each kind
SEED = 0


class Nothing(NamedTuple):
    """The largest activation of each picture in which no class is present, over all such pictures.

    Attributes:
        mean: Mean of them.
        highest: The highest.
        auroc: The probability that an image with a class has a larger one; see ``separation``.
    """

    mean: float
    highest: float
    auroc: float


def on_nothing(
    activations_of: Callable[[Tensor], Tensor],
    images: UInt8[Tensor, "image channel row column"],
    present: Float[Tensor, " held_out"],
    others: dict[str, Tensor] | None = None,
) -> dict[str, Nothing]:
    """The largest activations on pictures of nothing, by their kind.

    Args:
        activations_of: Activations [n, classes] of images, as they are served.
        images: Shuffled pictures take their pixels from these, the others only the size.
        present: The largest activation of each image that has a class and was not trained on.
        others: Images of other things by their name, whose classes the network does not have.
    """
    drawn = {kind.__name__.replace("_", " "): _drawn(kind, images) for kind in KINDS}
    found = {name: activations_of(pictures).amax(1) for name, pictures in (drawn | (others or {})).items()}
    return {
        name: Nothing(float(largest.mean()), float(largest.max()), separation(present, largest))
        for name, largest in found.items()
    }


def _drawn(kind: Callable[[Tensor, torch.Generator], Tensor], images: Tensor) -> Tensor:
    """Pictures of nothing of one kind, as large as the images."""
    draws = torch.Generator().manual_seed(SEED)
    rows = torch.randint(len(images), (PICTURES,), generator=draws).tolist()
    drawn = torch.stack([kind(images[row].float(), draws) for row in rows])
    return drawn.round().clamp(0.0, 255.0).to(torch.uint8)
