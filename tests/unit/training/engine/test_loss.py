"""The spread loss is the paper's, and its margin goes by shares of the run."""

from pathlib import Path

import pytest
import torch

from matcaps.model import tiny
from matcaps.training.config import TrainConfig
from matcaps.training.engine.loss import loss_of, margin_at, spread_loss


def config(**values: object) -> TrainConfig:
    return TrainConfig(data="shapes", network=tiny(), run_folder=Path("run"), **values)  # type: ignore[arg-type]


def test_spread_loss_is_the_sum_over_wrong_classes() -> None:
    """It equals (m − (a_t − a_i))² summed by hand over the classes within the margin."""
    activations = torch.tensor([[0.7, 0.4, 0.1], [0.2, 0.9, 0.85]])
    expected = ((0.5 - 0.3) ** 2 + 0.0 + (0.5 + 0.7) ** 2 + (0.5 + 0.65) ** 2) / 2
    assert spread_loss(activations, torch.tensor([0, 0]), 0.5).item() == pytest.approx(expected)


def test_spread_loss_vanishes_beyond_the_margin() -> None:
    """Once the target leads by the margin there is neither loss nor gradient."""
    activations = torch.tensor([[0.95, 0.05, 0.0]], requires_grad=True)
    loss = spread_loss(activations, torch.tensor([0]), 0.9)
    loss.backward()
    assert loss.item() == 0.0
    assert activations.grad is not None
    assert not activations.grad.any()


@pytest.mark.parametrize(("share", "margin"), [(0.0, 0.2), (0.4, 0.55), (0.8, 0.9), (1.0, 0.9)])
def test_margin_rises_by_shares_of_the_run(share: float, margin: float) -> None:
    """From 0.2 to 0.9 over the first 80 %, then level."""
    assert margin_at(share, config()) == pytest.approx(margin)


def test_losses_fall_with_the_target_s_lead() -> None:
    """Both losses prefer logits that favour the target."""
    logits, labels = torch.tensor([[2.0, -2.0, -2.0]]), torch.tensor([0])
    margin = torch.tensor(0.5)
    for loss in ("spread", "cross-entropy"):
        chosen = config(loss=loss)
        assert loss_of(logits, labels, margin, chosen) < loss_of(-logits, labels, margin, chosen)


def test_smoothed_labels_are_shared_out() -> None:
    """Of a smoothing of 0.3 each of three classes has 0.1, and the label's own the rest."""
    logits, labels = torch.tensor([[1.5, -0.5, 0.25]]), torch.tensor([0])
    expected = -(torch.tensor([0.8, 0.1, 0.1]) * logits.log_softmax(1)).sum()
    found = loss_of(logits, labels, torch.tensor(0.2), config(loss="cross-entropy", label_smoothing=0.3))
    assert found.item() == pytest.approx(expected.item())
