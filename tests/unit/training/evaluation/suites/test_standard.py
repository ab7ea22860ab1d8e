"""The suite standard: where crops lie, how they are averaged, and what is written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.data import ImageSet
from matcaps.training.engine.predict import predict
from matcaps.training.evaluation.report import write
from matcaps.training.evaluation.suites.standard import by_crops, crops, standard


@pytest.fixture
def images(network: CapsNet) -> ImageSet:
    """90 random images with the network's predictions as labels, except the first 9."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (90, 1, 24, 24), generator=generator, dtype=torch.uint8)
    labels = predict(network, pixels)
    labels[:9] = (labels[:9] + 1) % 3
    return ImageSet("random", network.config.classes, pixels, labels, {"instance": torch.arange(90) // 30})


@pytest.mark.parametrize(("size", "crop"), [(48, 32), (24, 20), (33, 20)])
def test_thirteen_crops_lie_around_the_centre(size: int, crop: int) -> None:
    """They are thirteen different windows inside the image, the centre first, with the centre as their mean."""
    found = crops(size, crop)
    assert found[0] == ((size - crop) // 2, (size - crop) // 2)
    assert len(set(found)) == 13
    assert all(0 <= start <= size - crop for offset in found for start in offset)
    means = torch.tensor(found).double().mean(0)
    torch.testing.assert_close(means, torch.tensor(found[0]).double())


def test_the_first_crop_gives_the_prediction(network: CapsNet, images: ImageSet) -> None:
    """The first crop by itself gives the prediction for the whole image."""
    first = crops(24, network.config.crop_size)[:1]
    assert torch.equal(by_crops(network, images.images, first), predict(network, images.images))


def test_crops_are_averaged(network: CapsNet, images: ImageSet) -> None:
    """The class with the highest mean probability over two crops wins."""
    two = [(0, 0), (4, 4)]
    with torch.no_grad():
        probabilities = [
            network(images.images[:, :, row : row + 20, column : column + 20]).logits.softmax(1) for row, column in two
        ]
    expected = torch.stack(probabilities).mean(0).argmax(1)
    assert torch.equal(by_crops(network, images.images, two), expected)
    assert not torch.equal(expected, probabilities[0].argmax(1)), "the crops must disagree somewhere"


def test_the_report_is_written(network: CapsNet, images: ImageSet, tmp_path: Path) -> None:
    """The table names classes and crops, the JSON has the numbers, and the plot is a PNG."""
    report = standard(network, images, {}, progress=False)
    assert report.content["error"] == 0.1
    assert "10.00%" in report.table
    assert "13 crops, averaged" in report.table
    assert all(name in report.table for name in images.classes)
    numbers, figure = write(report, tmp_path, "standard")
    content = json.loads(numbers.read_text())
    assert sum(map(sum, content["confusion"])) == 90
    assert len(content["crops"]["offsets"]) == 13
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_an_image_as_large_as_the_crop_has_one_crop(images: ImageSet) -> None:
    """A network that takes whole images has no error over crops."""
    torch.manual_seed(0)
    whole = CapsNet(replace(tiny(), crop_size=24)).eval()
    report = standard(whole, images, {}, progress=False)
    assert "crops" not in report.content
