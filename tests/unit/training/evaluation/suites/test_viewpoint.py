"""The viewpoint suite: errors by elevation, and which baseline is the match."""

import pytest
import torch
from torch import Tensor, nn

from matcaps.model import CapsNet, CapsNetConfig, tiny
from matcaps.training.baselines import ConvNet, Output
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.viewpoint import errors, viewpoint


class Reader(ConvNet):
    """Says what stands in an image's first pixel, and errs on those whose elevation, the second pixel, is listed."""

    def __init__(self, config: CapsNetConfig, blind: tuple[int, ...]) -> None:
        super().__init__(config)
        self.blind = blind

    def forward(self, images: Tensor) -> Output:
        said = images[:, 0, 0, 0].long()
        hidden = torch.isin(images[:, 0, 0, 1].long(), torch.tensor(self.blind))
        logits = nn.functional.one_hot((said + hidden) % 3, 3).float()
        return Output(logits, logits)


@pytest.fixture
def images() -> ImageSet:
    """20 images at each of 9 elevations, which say what they are."""
    elevation, label = torch.arange(180) % 9, torch.arange(180) % 3
    pixels = torch.zeros(180, 1, 24, 24, dtype=torch.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = label, elevation
    return ImageSet("made up", tiny().classes, pixels, label, {"elevation": elevation})


def test_errors_are_told_by_elevation(images: ImageSet) -> None:
    """A network that errs at elevations 2, 7 and 8 errs on a third of the familiar and of the novel images."""
    found = errors(Reader(tiny(), (2, 7, 8)), images, "elevation", (0, 1, 2))
    assert found.by_value == {value: float(value in (2, 7, 8)) for value in range(9)}
    assert (found.familiar, found.novel) == pytest.approx((1 / 3, 1 / 3))


def test_the_match_errs_alike_where_it_was_trained(images: ImageSet) -> None:
    """Of several checkpoints the one counts whose familiar error is closest, whatever it does elsewhere."""
    network = Reader(tiny(), (0, 5))
    candidates = {"early": Reader(tiny(), (0, 1)), "match": Reader(tiny(), (1, 6, 7, 8)), "late": Reader(tiny(), ())}
    report = viewpoint(network, images, "elevation", (0, 1, 2), candidates, progress=False)
    assert report.content["matched"] == "match"
    assert report.content["networks"]["CNN"]["novel"] == pytest.approx(0.5)
    assert report.content["networks"]["capsules"]["novel"] == pytest.approx(1 / 6)
    assert "its checkpoint match" in report.table


def test_without_a_baseline(network: CapsNet, images: ImageSet) -> None:
    """The capsules stand alone."""
    report = viewpoint(network, images, "elevation", (0, 1, 2), {}, progress=False)
    assert list(report.content["networks"]) == ["capsules"]
    assert report.table.count("novel") == 7


@pytest.mark.parametrize(
    ("column", "familiar", "words"),
    [
        ("elevation", (), "none is novel"),
        ("elevation", tuple(range(9)), "none is novel"),
        ("lighting", (0,), "knows no lighting"),
    ],
)
def test_nothing_to_compare(images: ImageSet, column: str, familiar: tuple[int, ...], words: str) -> None:
    """A run that saw everything, or data that know no viewpoints, are refused with what to do."""
    with pytest.raises(ValueError, match=words):
        errors(Reader(tiny(), ()), images, column, familiar)
