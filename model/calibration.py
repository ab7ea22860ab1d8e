"""Calibration of the class activations: a slope and an offset, so that an activation is a probability."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Calibration(nn.Module):
    """The affine map of the class layer's logits: slope · logit + offset (Platt, 1999).

    It equals a larger λ and another β_a in the last M-step of the class layer alone, so routing is unchanged. A new
    network has slope 1 and offset 0. Training never changes them: a run that starts from a calibrated network keeps its
    map, and its loss is that of the calibrated logits.

    >>> calibration = Calibration()
    >>> calibration.set(2.0, -3.0)
    >>> calibration(torch.tensor([[1.0, 4.0]]))
    tensor([[-1.,  5.]])
    """

    slope: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))

    def set(self, slope: float, offset: float) -> None:
        """Choose the map.

        Raises:
            ValueError: The slope is not positive, so that the order of the classes would change.
        """
        if not 0.0 < slope < float("inf") or not abs(offset) < float("inf"):
            raise ValueError(f"a calibration needs a positive slope and a finite offset, got {slope} and {offset}")
        self.slope.fill_(slope)
        self.offset.fill_(offset)

    def then(self, slope: float, offset: float) -> None:
        """Follow the map by another one, which was fitted to its results.

        Raises:
            ValueError: The slope is not positive.
        """
        self.set(slope * float(self.slope), slope * float(self.offset) + offset)

    def forward(self, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        return logits * self.slope + self.offset
