"""The spread loss is the paper's, and its margin rises with the share of the run."""

import pytest
import torch

from matcaps.training.config import LossConfig
from matcaps.training.data.negatives import NOTHING
from matcaps.training.engine.loss import loss_of, spread_loss


def test_spread_loss_is_the_sum_over_wrong_classes() -> None:
    """It equals (m − (a_t − a_i))² summed by hand over the classes within the margin."""
    activations = torch.tensor([[0.7, 0.4, 0.1], [0.2, 0.9, 0.85]])
    expected = ((0.5 - 0.3) ** 2 + 0.0 + (0.5 + 0.7) ** 2 + (0.5 + 0.65) ** 2) / 2
    assert spread_loss(activations, torch.tensor([0, 0]), 0.5).item() == pytest.approx(expected)


def test_spread_loss_vanishes_beyond_the_margin() -> None:
    """Once the target leads by the margin, loss and gradient are zero."""
    activations = torch.tensor([[0.95, 0.05, 0.0]], requires_grad=True)
    loss = spread_loss(activations, torch.tensor([0]), 0.9)
    loss.backward()
    assert loss.item() == 0.0
    assert activations.grad is not None
    assert not activations.grad.any()


@pytest.mark.parametrize(("share", "margin"), [(0.0, 0.2), (0.4, 0.55), (0.8, 0.9), (1.0, 0.9)])
def test_margin_rises_by_shares_of_the_run(share: float, margin: float) -> None:
    """From 0.2 to 0.9 over the first 80 %, then constant."""
    assert LossConfig().margin_at(share) == pytest.approx(margin)


def test_both_losses_fall_with_the_lead_of_the_target() -> None:
    """Both losses prefer logits that favour the target."""
    logits, labels = torch.tensor([[2.0, -2.0, -2.0]]), torch.tensor([0])
    margin = torch.tensor(0.5)
    for config in (LossConfig("spread"), LossConfig("cross-entropy")):
        assert loss_of(logits, labels, margin, config) < loss_of(-logits, labels, margin, config)


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    """With a smoothing of 0.3 each of three classes gets 0.1, and the true class the rest as well."""
    logits, labels = torch.tensor([[1.5, -0.5, 0.25]]), torch.tensor([0])
    expected = -(torch.tensor([0.8, 0.1, 0.1]) * logits.log_softmax(1)).sum()
    found = loss_of(logits, labels, torch.tensor(0.2), LossConfig("cross-entropy", label_smoothing=0.3))
    assert found.item() == pytest.approx(expected.item())


def test_with_negatives_nothing_is_one_more_class() -> None:
    """Its logit is 0; a picture of nothing has that label, and smoothing spreads over it too."""
    logits, labels = torch.tensor([[1.5, -0.5], [-3.0, -2.0]]), torch.tensor([1, NOTHING])
    config = LossConfig("cross-entropy", label_smoothing=0.3)
    found = loss_of(logits, labels, torch.tensor(0.2), config, with_negatives=True)
    with_nothing = torch.tensor([[1.5, -0.5, 0.0], [-3.0, -2.0, 0.0]]).log_softmax(1)
    targets = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    assert found.item() == pytest.approx(-(targets * with_nothing).sum(1).mean().item())


def test_with_negatives_the_level_of_the_logits_matters() -> None:
    """For a picture of nothing lower logits are better; for a class, higher ones."""
    logits, margin, config = torch.tensor([[1.0, 0.0]]), torch.tensor(0.2), LossConfig("cross-entropy")

    def loss(shift: float, label: int) -> float:
        found = loss_of(logits + shift, torch.tensor([label]), margin, config, with_negatives=True)
        return float(found)

    assert loss(-2.0, NOTHING) < loss(0.0, NOTHING) < loss(2.0, NOTHING)
    assert loss(2.0, 0) < loss(0.0, 0) < loss(-2.0, 0)


def test_spread_loss_of_a_picture_of_nothing_is_the_sum_over_all_classes() -> None:
    """Each activation may be as large as 1 − m; the other images' terms stay as they are."""
    activations = torch.tensor([[0.7, 0.4, 0.1], [0.2, 0.9, 0.85]])
    nothing = (0.7 - 0.5) ** 2
    assert spread_loss(activations[:1], torch.tensor([NOTHING]), 0.5).item() == pytest.approx(nothing)
    other = spread_loss(activations[1:], torch.tensor([0]), 0.5).item()
    assert spread_loss(activations, torch.tensor([NOTHING, 0]), 0.5).item() == pytest.approx((nothing + other) / 2)
