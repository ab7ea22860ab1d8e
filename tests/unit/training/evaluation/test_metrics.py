"""An evaluation counts errors by class and instance, with a confidence interval, and has the log-loss of each toy."""

import math
from typing import Any

import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.data import ImageSet
from matcaps.training.engine.predict import predict
from matcaps.training.evaluation.metrics import Toy, evaluate, evaluate_toys, score_toys, wilson


@pytest.fixture
def images(network: CapsNet) -> ImageSet:
    """150 random images with the network's predictions as labels, except the first 30."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (150, 1, 24, 24), generator=generator, dtype=torch.uint8)
    labels = predict(network, pixels)
    labels[:30] = (labels[:30] + 1) % 3
    info = {"instance": torch.arange(150) // 30}
    return ImageSet("random", network.config.classes, pixels, labels, info)


def test_errors_are_counted(network: CapsNet, images: ImageSet) -> None:
    """30 wrong labels of 150 are an error of 20 %, all of them in instance 0."""
    found = evaluate(network, images)
    assert found.error == 0.2
    assert found.interval[0] < 0.2 < found.interval[1]
    assert int(found.confusion.sum()) == 150
    assert int(found.confusion.diagonal().sum()) == 120
    assert {error for (_, instance), error in found.by_instance.items() if instance == 0} == {1.0}
    assert {error for (_, instance), error in found.by_instance.items() if instance > 0} == {0.0}


def test_the_log_loss_is_that_of_the_softmax_of_the_logits() -> None:
    """Odds of 3 to 1 for the true class cost −log ¾, and against it −log ¼; a toy without images is left out."""
    odds = math.log(3)
    logits = torch.tensor([[odds, 0.0], [odds, 0.0], [0.0, odds], [5.0, 5.0]])
    labels, info = torch.tensor([0, 1, 1, 0]), {"instance": torch.tensor([4, 4, 4, 9])}
    images = ImageSet("toys", ("cube", "ball"), torch.zeros(4, 1, 2, 2, dtype=torch.uint8), labels, info)
    expected: dict[Toy, Any] = {
        ("cube", 4): (1, 0.0, pytest.approx(math.log(4 / 3))),
        ("cube", 9): (1, 0.0, pytest.approx(math.log(2))),
        ("ball", 4): (2, 0.5, pytest.approx((math.log(4) + math.log(4 / 3)) / 2)),
    }
    assert score_toys(logits, images) == expected


def test_toys_have_the_errors_of_the_evaluation(network: CapsNet, images: ImageSet) -> None:
    """Their errors are those by instance, and every image belongs to one toy."""
    found = evaluate_toys(network, images)
    assert {toy: score.error for toy, score in found.items()} == evaluate(network, images).by_instance
    assert sum(score.images for score in found.values()) == 150
    assert all(score.log_loss > 0.0 for score in found.values())


@pytest.mark.parametrize(("wrong", "low", "high"), [(0, 0.0, 0.0037), (18, 0.0114, 0.0283), (1000, 0.9963, 1.0)])
def test_wilson_interval(wrong: int, low: float, high: float) -> None:
    """It is valid at 0 and 1 too, and agrees with published values (18 of 1000: 1.14 to 2.83 %)."""
    assert wilson(wrong, 1000) == pytest.approx((low, high), abs=2e-4)
