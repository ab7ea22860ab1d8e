"""The suite calibration reports what activations mean, and what pictures of nothing get."""

import pytest
import torch

from matcaps.training.data import ImageSet
from matcaps.training.data.negatives import KINDS
from matcaps.training.evaluation.nothing import PICTURES
from matcaps.training.evaluation.suites.calibration import calibration

CLASSES = ("dark", "bright")


def bright(images: torch.Tensor) -> torch.Tensor:
    """Activations of a network that is sure of a bright and of a dark image, and of nothing between."""
    means = images.float().mean((1, 2, 3)) / 255.0
    return torch.stack([means < 0.25, means > 0.75], 1).float()


@pytest.fixture
def images() -> ImageSet:
    """Forty images, half dark and half bright, with noise."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    pixels = 20 + 200 * labels[:, None, None, None] + torch.randint(30, (40, 1, 20, 20), generator=draws)
    return ImageSet("levels", CLASSES, pixels.to(torch.uint8), labels)


def test_the_report_has_every_kind_of_picture_of_nothing(images: ImageSet) -> None:
    """Even pictures fool a network that goes by brightness; grey noise of another set does not."""
    grey = ImageSet("grey", CLASSES, torch.full((10, 1, 20, 20), 128, dtype=torch.uint8), torch.zeros(10).long())
    report = calibration(bright, images, {"as released": bright(images.images)}, grey)
    nothing = report.content["nothing"]
    assert set(nothing) == {kind.__name__.replace("_", " ") for kind in KINDS} | {"grey"}
    assert nothing["even"]["highest"] == 1.0
    assert nothing["grey"] == {"mean": 0.0, "highest": 0.0, "auroc": 1.0}
    assert 0.5 <= nothing["even"]["auroc"] < 0.8
    assert "levels" not in report.table
    assert "grey" in report.table


def test_pictures_of_nothing_are_the_same_each_time(images: ImageSet) -> None:
    """They are drawn by a seed, as large as the images."""
    seen: list[torch.Tensor] = []

    def remember(pictures: torch.Tensor) -> torch.Tensor:
        seen.append(pictures)
        return bright(pictures)

    for _ in range(2):
        calibration(remember, images, {"as released": bright(images.images)})
    assert len(seen) == 2 * len(KINDS)
    assert all(pictures.shape == (PICTURES, 1, 20, 20) for pictures in seen)
    for one, other in zip(seen[: len(KINDS)], seen[len(KINDS) :], strict=True):
        assert torch.equal(one, other)


def test_each_calibration_has_its_quality_and_its_bins(images: ImageSet) -> None:
    """Faultless activations have no error; even ones of one half have half a Brier score."""
    even = torch.full((40, 2), 0.5)
    report = calibration(bright, images, {"even": even, "right": bright(images.images)})
    found = report.content["activations"]
    assert (found["even"]["brier"], found["right"]["brier"]) == (0.5, 0.0)
    assert (found["even"]["calibration_error"], found["right"]["calibration_error"]) == (0.0, 0.0)
    assert report.content["reliability"]["even"] == [{"activation": 0.5, "share": 0.5, "number": 80}]
