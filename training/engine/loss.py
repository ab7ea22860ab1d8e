"""The loss that training minimises: the paper's spread loss, or cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional

from matcaps.training.config import LossConfig
from matcaps.training.data.negatives import NOTHING


def spread_loss(activations: Tensor, labels: Tensor, margin: float | Tensor) -> Tensor:
    """Σ over wrong classes of max(0, margin − (a_target − a_wrong))², mean over the batch (section 4.2).

    For a picture of nothing all classes are wrong, and the target's activation counts as 1.

    Args:
        activations: [batch, classes], each in [0, 1].
        labels: [batch], int64; NOTHING for a picture of nothing.
        margin: In (0, 1].

    >>> spread_loss(torch.tensor([[0.9, 0.1, 0.6]]), torch.tensor([0]), margin=0.5)
    tensor(0.0400)
    """
    nothing = labels[:, None] == NOTHING
    rows = labels[:, None].clamp_min(0)
    target = torch.where(nothing, 1.0, activations.gather(1, rows))
    shortfall = functional.relu(margin - (target - activations)).square()
    wrong = torch.ones_like(activations).scatter(1, rows, 0.0)
    return (shortfall * torch.where(nothing, 1.0, wrong)).sum(1).mean()


def loss_of(
    logits: Tensor, labels: Tensor, margin: Tensor, config: LossConfig, *, with_negatives: bool = False
) -> Tensor:
    """The loss of a batch.

    Args:
        logits: Of the classes, [batch, classes].
        labels: int64 [batch]; NOTHING for a picture without any class.
        margin: For the spread loss.
        config: Options of the loss.
        with_negatives: Whether labels may be NOTHING. Cross-entropy then has one more class, nothing, whose logit is 0.
            This fixes the level of the logits, which cross-entropy over the classes alone leaves free.
    """
    if config.kind == "cross-entropy":
        if with_negatives:
            labels = torch.where(labels == NOTHING, logits.shape[1], labels)
            logits = functional.pad(logits, (0, 1))
        return functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
    return spread_loss(logits.sigmoid(), labels, margin)
