"""The suite viewpoint: errors by elevation, and which baseline matches."""

import pytest
import torch
from torch import Tensor, nn

from matcaps.model import CapsNet, CapsNetConfig, tiny
from matcaps.training.baselines import ConvNet, Output
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.viewpoint import errors, viewpoint


class Reader(ConvNet):
    """Predicts the image's first pixel, and is wrong where the second pixel, the elevation, is in ``wrong_at``."""

    def __init__(self, config: CapsNetConfig, wrong_at: tuple[int, ...]) -> None:
        super().__init__(config)
        self.wrong_at = wrong_at

    def forward(self, images: Tensor) -> Output:
        label = images[:, 0, 0, 0].long()
        wrong = torch.isin(images[:, 0, 0, 1].long(), torch.tensor(self.wrong_at))
        logits = nn.functional.one_hot((label + wrong) % 3, 3).float()
        return Output(logits, logits)


@pytest.fixture
def images() -> ImageSet:
    """20 images at each of 9 elevations, with label and elevation in their first two pixels."""
    elevation, label = torch.arange(180) % 9, torch.arange(180) % 3
    pixels = torch.zeros(180, 1, 24, 24, dtype=torch.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = label, elevation
    return ImageSet("made up", tiny().classes, pixels, label, {"elevation": elevation})


def test_errors_are_counted_by_elevation(images: ImageSet) -> None:
    """A network that is wrong at elevations 2, 7 and 8 is wrong on a third of the familiar and of the novel images."""
    found = errors(Reader(tiny(), (2, 7, 8)), images, "elevation", (0, 1, 2))
    assert found.by_value == {value: float(value in (2, 7, 8)) for value in range(9)}
    assert (found.familiar, found.novel) == pytest.approx((1 / 3, 1 / 3))


def test_the_match_has_the_closest_familiar_error(images: ImageSet) -> None:
    """The checkpoint with the closest familiar error is chosen, whatever its novel error is."""
    network = Reader(tiny(), (0, 5))
    candidates = {"early": Reader(tiny(), (0, 1)), "match": Reader(tiny(), (1, 6, 7, 8)), "late": Reader(tiny(), ())}
    report = viewpoint(network, images, "elevation", (0, 1, 2), candidates, progress=False)
    assert report.content["matched"] == "match"
    assert report.content["networks"]["CNN"]["novel"] == pytest.approx(0.5)
    assert report.content["networks"]["capsules"]["novel"] == pytest.approx(1 / 6)
    assert "its checkpoint match" in report.table


def test_a_report_without_a_baseline_has_the_capsules_only(network: CapsNet, images: ImageSet) -> None:
    """The report has one network."""
    report = viewpoint(network, images, "elevation", (0, 1, 2), {}, progress=False)
    assert list(report.content["networks"]) == ["capsules"]
    assert report.table.count("novel") == 7


@pytest.mark.parametrize(
    ("column", "familiar", "words"),
    [
        ("elevation", (), "none is novel"),
        ("elevation", tuple(range(9)), "none is novel"),
        ("lighting", (0,), "has no column lighting"),
    ],
)
def test_a_column_without_novel_values_is_rejected(
    images: ImageSet, column: str, familiar: tuple[int, ...], words: str
) -> None:
    """A run that was trained on all values, and data without the column, are rejected."""
    with pytest.raises(ValueError, match=words):
        errors(Reader(tiny(), ()), images, column, familiar)
