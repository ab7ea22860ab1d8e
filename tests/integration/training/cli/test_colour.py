"""Classes that differ by their colour alone: from pictures to the answer of the service."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from matcaps.cli import main
from matcaps.images.decode import decode_rgb, open_image
from matcaps.images.fit import fit
from matcaps.service.app import create_app
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.settings import Settings
from matcaps.training.evaluation.runs import open_run
from tests.support.doubles import client_of, encoded
from tests.support.options import TINY
from tests.support.runs import metadata_of

COLOURS = {"red": (162, 60, 60), "green": (35, 122, 66), "blue": (53, 83, 223)}  # of the same luma
OPTIONS = [
    *TINY,
    "--network.image-size=24",
    "--network.routing.iterations=1",  # the export of three takes half a minute
    "--batch-size=16",
    "--epochs=10",
    "--learning-rate=0.02",
]


def disc(name: str, draws: np.random.Generator) -> Image.Image:
    """A disc of one colour on a light ground; its size, place and strength of light are drawn."""
    picture = Image.new("RGB", (32, 32), (int(draws.integers(150, 240)),) * 3)
    x, y, r = (int(value) for value in draws.integers((12, 12, 6), (20, 20, 11)))
    light = draws.uniform(0.7, 1.0)
    fill = tuple(round(light * level) for level in COLOURS[name])
    ImageDraw.Draw(picture).ellipse((x - r, y - r, x + r, y + r), fill=fill)
    return picture


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 × 40 discs of three colours."""
    folder, draws = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    for name in COLOURS:
        (folder / name).mkdir()
        for number in range(40):
            disc(name, draws).save(folder / name / f"{number:02}.png")
    return folder


def train(discs: Path, run: Path, *options: str) -> float:
    """Train a tiny network; returns the error on the pictures that were held out, by ``matcaps evaluate``."""
    assert main(["train", "folder", f"--data={discs}", f"--run-folder={run}", *OPTIONS, *options]) == 0
    assert main(["evaluate", str(run)]) == 0
    return float(json.loads((run / "standard.json").read_text())["error"])


@pytest.fixture(scope="module")
def run(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in RGB that tells the colours apart."""
    folder = tmp_path_factory.mktemp("runs") / "rgb"
    assert train(discs, folder) <= 0.05
    return folder


def test_a_grey_network_is_at_chance(discs: Path, tmp_path: Path) -> None:
    """With --channels 1 the same pictures are hardly told apart: two of three are wrong by chance."""
    assert train(discs, tmp_path / "grey", "--channels=1", "--epochs=3") >= 0.4


def test_the_service_answers_as_torch(run: Path, tmp_path: Path) -> None:
    """A released RGB model names the colours of new pictures, with the numbers of the network in torch."""
    models = tmp_path / "models"
    assert main(["release", str(run), "--name=discs", f"--models={models}", "--max-calibration-error=1"]) == 0
    assert metadata_of(models / "discs" / "1")["image"] == {"channels": 3, "height": 24, "width": 24}
    draws = np.random.default_rng(9)
    names = [*COLOURS, *COLOURS]
    contents = [encoded(disc(name, draws), kind) for name, kind in zip(names, ["PNG"] * 3 + ["TIFF"] * 3, strict=True)]
    with client_of(
        create_app(Settings(models=models, default_model="discs"), lambda file: [CpuSession(file)])
    ) as client:
        body = {"images": [base64.b64encode(content).decode() for content in contents]}
        predictions = client.post("/predict", json=body).json()["predictions"]
    assert [prediction["label"] for prediction in predictions] == names
    network = open_run(run, None).network
    pixels = np.stack([fit(decode_rgb(open_image(content)), 24, 24) for content in contents])
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels))
    poses = [[prediction["poses"][name] for name in sorted(COLOURS)] for prediction in predictions]
    np.testing.assert_allclose(poses, expected.poses, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("suite", ["calibration", "adversarial"])
def test_suites_take_rgb(run: Path, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The suites that are not for smallNORB alone evaluate a run in RGB."""
    assert main(["evaluate", suite, str(run), *(["--images=8"] if suite != "calibration" else [])]) == 0
    assert f"{suite}.json" in capsys.readouterr().out


@pytest.mark.parametrize("suite", ["viewpoint", "poses"])
def test_suites_for_smallnorb_refuse_rgb(run: Path, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The suites for smallNORB say what the run was trained on."""
    assert main(["evaluate", suite, str(run)]) == 1
    assert f"the suite {suite} needs smallNORB" in capsys.readouterr().err


def test_every_augmentation_takes_rgb(discs: Path, tmp_path: Path) -> None:
    """All random changes together train in RGB, pictures of nothing and mixtures too."""
    strong = ["--hue=10", "--saturation", "0.7", "1.3", "--mirror", "--elastic=1", "--rotation=20", "--shift=1"]
    mixed = ["--mixup=0.2", "--negatives=0.125", "--epochs=1", "--architecture=cnn"]
    run = tmp_path / "run"
    assert main(["train", "folder", f"--data={discs}", f"--run-folder={run}", *OPTIONS, *strong, *mixed]) == 0
