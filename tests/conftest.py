"""Fixtures of many tests: drawn pictures, and one export of the smallest network."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image, ImageDraw

from matcaps.model import CapsNet, tiny
from matcaps.model.export import export
from tests.support.sharing import made_once


@pytest.fixture(scope="session")
def network() -> CapsNet:
    """The smallest network in evaluation mode, after a few batches that changed its running statistics."""
    torch.manual_seed(0)
    network = CapsNet(tiny())
    with torch.no_grad():
        for _ in range(20):
            network(torch.randint(0, 256, (16, 1, 24, 24)).float())
    return network.eval()


@pytest.fixture(scope="session")
def exported(network: CapsNet, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """The smallest network as ONNX, exported by one worker for all."""

    def make(folder: Path) -> None:
        onnx.save(export(network, {"training": {"data_set": "shapes", "epochs": 0}}), folder / "model.onnx")

    return onnx.load(made_once(tmp_path_factory, "exported", make) / "model.onnx")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 × 40 pictures: bright circles, squares and triangles on dark ground, no two alike."""
    folder = tmp_path_factory.mktemp("shapes")
    random = np.random.default_rng(0)
    for name in ("circle", "square", "triangle"):
        (folder / name).mkdir()
        for number in range(40):
            picture = Image.new("L", (24, 24), int(random.integers(0, 60)))
            draw = ImageDraw.Draw(picture)
            x, y, r = (int(value) for value in random.integers((9, 9, 4), (15, 15, 8)))
            shade = int(random.integers(150, 256))
            if name == "circle":
                draw.ellipse((x - r, y - r, x + r, y + r), fill=shade)
            elif name == "square":
                draw.rectangle((x - r, y - r, x + r, y + r), fill=shade)
            else:
                draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=shade)
            picture.save(folder / name / f"{number:02}.png")
    return folder
