"""The fit finds the probabilities that drew the labels, and the measures agree with sums by hand."""

import math

import pytest
import torch

from matcaps.training.evaluation.calibration import Bin, cross_fitted, fit, quality, reliability, separation


def drawn(images: int, slope: float, offset: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of two classes and labels of images that show exactly one of them, drawn by known probabilities.

    The logits of the two classes are opposite, so that both statements about an image have probabilities that sum to 1.
    """
    draws = torch.Generator().manual_seed(seed)
    z = 3.0 * torch.randn(images, generator=draws)  # calibrated logit of the first class
    labels = (torch.rand(images, generator=draws) > z.sigmoid()).long()
    return (torch.stack([z, -z], 1) - offset) / slope, labels


def test_the_fit_finds_the_map_that_drew_the_labels() -> None:
    """Of 20,000 images it recovers slope 2.5 and offset −11 to a few per cent."""
    logits, labels = drawn(20_000, 2.5, -11.0)
    slope, offset = fit(logits, labels)
    assert slope == pytest.approx(2.5, rel=0.05)
    assert offset == pytest.approx(-11.0, rel=0.05)


def test_the_fit_does_not_depend_on_the_logits_scale() -> None:
    """An affine change of the logits changes slope and offset, not the probabilities."""
    logits, labels = drawn(500, 1.0, 0.0)
    one, other = fit(logits, labels), fit(40.0 * logits - 900.0, labels)
    expected = (logits * one.slope + one.offset).sigmoid()
    torch.testing.assert_close(
        ((40.0 * logits - 900.0) * other.slope + other.offset).sigmoid(), expected, atol=1e-4, rtol=0
    )


def test_the_fit_of_faultless_logits_stays_finite() -> None:
    """Platt's targets bound the slope: with 10 images of 2 classes no probability is beyond 11/12."""
    labels = torch.arange(10) % 2
    logits = 4.0 * torch.nn.functional.one_hot(labels).float()
    slope, offset = fit(logits, labels)
    highest = 1 / (1 + math.exp(-(4.0 * slope + offset)))
    assert highest == pytest.approx(11 / 12, abs=1e-4)


def test_each_half_is_calibrated_by_the_other() -> None:
    """A change of one image's label does not change the activations of its own half."""
    logits, labels = drawn(200, 2.0, 1.0)
    before = cross_fitted(logits, labels)
    labels[0] = 1 - labels[0]
    changed = (cross_fitted(logits, labels) != before).any(1)
    assert not changed[0]
    assert int(changed.sum()) == 100


def test_one_image_cannot_be_cross_fitted() -> None:
    """The message says how many there are."""
    with pytest.raises(ValueError, match="at least 2 held-out images, got 1"):
        cross_fitted(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


def test_quality_agrees_with_sums_by_hand() -> None:
    """Two images of three classes; each statement is in a bin of its own or shares one."""
    activations = torch.tensor([[0.9, 0.1, 0.12], [0.3, 0.95, 0.0]])
    labels = torch.tensor([0, 1])
    found = quality(activations, labels)
    assert found.images == 2
    brier = (0.1**2 + 0.1**2 + 0.12**2 + 0.3**2 + 0.05**2) / 2
    assert found.brier == pytest.approx(brier, rel=1e-5)
    # bins of 1/15: 0.9 alone; 0.1 and 0.12 together, 0.3 alone, 0.95 alone, 0 alone
    error = (abs(0.9 - 1) + 2 * abs(0.11 - 0) + 0.3 + 0.05 + 0.0) / 6
    assert found.calibration_error == pytest.approx(error, rel=1e-5)
    assert found.present == pytest.approx((0.9 + 0.95) / 2)
    assert found.absent == pytest.approx((0.1 + 0.12 + 0.3 + 0.0) / 4)


def test_reliability_counts_every_statement_once() -> None:
    """An activation of exactly 1 belongs to the last bin."""
    bins = reliability(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    assert bins == [Bin(0.0, 0.5, 2), Bin(1.0, 0.5, 2)]


def test_calibrated_activations_have_a_small_error_and_others_a_large_one() -> None:
    """The measure tells them apart; the fit never sees the half that it is measured on."""
    logits, labels = drawn(20_000, 2.5, -11.0)
    assert quality(cross_fitted(logits, labels), labels).calibration_error < 0.01
    assert quality(logits.sigmoid(), labels).calibration_error > 0.2


def test_few_images_have_a_large_error_by_chance() -> None:
    """Activations that are exactly right have an error too, and about the one that is expected by chance."""
    for images, (low, high) in {20: (0.02, 0.2), 20_000: (0.0, 0.01)}.items():
        logits, labels = drawn(images, 1.0, 0.0)
        found = quality(logits.sigmoid(), labels)
        assert low < found.by_chance < high
        assert abs(found.calibration_error - found.by_chance) < high / 2


def test_separation_is_the_share_of_ordered_pairs() -> None:
    """It equals the count over all pairs, with ties as halves."""
    draws = torch.Generator().manual_seed(0)
    positives, negatives = (torch.randint(20, (50,), generator=draws).float() for _ in range(2))
    greater = (positives[:, None] > negatives).double() + 0.5 * (positives[:, None] == negatives).double()
    assert separation(positives, negatives) == pytest.approx(float(greater.mean()))
