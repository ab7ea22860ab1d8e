"""The loss that training minimises: the paper's spread loss, or cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional

from matcaps.training.config import LossConfig


def spread_loss(activations: Tensor, labels: Tensor, margin: float | Tensor) -> Tensor:
    """Σ over wrong classes of max(0, margin − (a_target − a_wrong))², mean over the batch (section 4.2).

    Args:
        activations: [batch, classes], each in [0, 1].
        labels: [batch], int64.
        margin: In (0, 1].

    >>> spread_loss(torch.tensor([[0.9, 0.1, 0.6]]), torch.tensor([0]), margin=0.5)
    tensor(0.0400)
    """
    target = activations.gather(1, labels[:, None])
    shortfall = functional.relu(margin - (target - activations)).square()
    wrong = torch.ones_like(activations).scatter(1, labels[:, None], 0.0)
    return (shortfall * wrong).sum(1).mean()


def loss_of(logits: Tensor, labels: Tensor, margin: Tensor, config: LossConfig) -> Tensor:
    """The loss of a batch from its class logits [batch, classes]; ``margin`` is for the spread loss."""
    if config.kind == "cross-entropy":
        return functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
    return spread_loss(logits.sigmoid(), labels, margin)
