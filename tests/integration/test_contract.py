"""What crosses from training to the service is one file, and nothing is lost on the way."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from matcaps.images.decode import decode, open_image
from matcaps.images.fit import fit
from matcaps.model import CapsNet
from matcaps.model.export import OUTPUTS
from matcaps.service.app import create_app
from matcaps.service.backends.artefact import LARGE_OUTPUTS
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.settings import Settings
from matcaps.training.data.formats.smallnorb import shrink
from tests.support.doubles import Client, client_of, encoded

MODELS = Path(__file__).parents[2] / "model_repository"


@pytest.fixture(scope="module")
def client(exported: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service over an export of the tiny network."""
    folder = tmp_path_factory.mktemp("models")
    path = folder / "shapes" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(exported.SerializeToString())
    settings = Settings(models=folder, default_model="shapes")
    with client_of(create_app(settings, lambda file: [CpuSession(file)])) as client:
        yield client


def png(pixels: NDArray[np.uint8]) -> bytes:
    return encoded(Image.fromarray(pixels))


def test_service_and_torch_network_agree(client: Client, network: CapsNet) -> None:
    """Pixels that are sent as PNG come back with the activations and poses of the torch network, within 1e-5."""
    pixels = np.random.default_rng(5).integers(0, 256, (3, 24, 24), np.uint8)
    files = [("images", (f"{number}.png", png(image), "image/png")) for number, image in enumerate(pixels)]
    answer = client.post("/predict", files=files).json()
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)[:, None])
    assert len(answer["predictions"]) == 3
    for row, prediction in enumerate(answer["predictions"]):
        assert prediction["label"] == network.config.classes[int(expected.activations[row].argmax())]
        found = [prediction["activations"][name] for name in network.config.classes]
        np.testing.assert_allclose(found, expected.activations[row], atol=1e-5)
        poses = [prediction["poses"][name] for name in network.config.classes]
        np.testing.assert_allclose(poses, expected.poses[row], atol=1e-5)


def test_layers_come_row_by_row(client: Client, network: CapsNet) -> None:
    """[row][column][type] of a layer is the network's site row · columns + column."""
    pixels = np.random.default_rng(6).integers(0, 256, (24, 24), np.uint8)
    body, headers = png(pixels), {"content-type": "image/png"}
    answer = client.post("/poses?layer=conv_caps_1", content=body, headers=headers).json()
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)[None, None]).conv_caps_1.poses[0]
    found = np.array(answer["predictions"][0]["poses"])
    assert found.shape == (3, 3, 3, 4, 4)
    np.testing.assert_allclose(found.reshape(9, 3, 4, 4), expected, atol=1e-5)


def test_arrays_have_the_names_of_the_outputs(client: Client) -> None:
    """npz answers are the graph's outputs but the large ones, by name."""
    headers = {"content-type": "image/png", "accept": "application/x-npz"}
    answer = client.post("/predict", content=png(np.zeros((24, 24), np.uint8)), headers=headers)
    with np.load(io.BytesIO(answer.content)) as arrays:
        assert set(arrays.files) == set(OUTPUTS) - set(LARGE_OUTPUTS)


def test_the_service_expects_the_outputs_that_the_export_has(exported: onnx.ModelProto, tmp_path: Path) -> None:
    """Names and shapes follow from the metadata in the same way on both sides."""
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.SerializeToString())
    session = CpuSession(path)
    expected = session.metadata.outputs()
    assert set(expected) == set(OUTPUTS)
    image = session.metadata.image
    arrays = session.run(np.zeros((2, *image.shape), np.uint8))
    assert {name: array.shape[1:] for name, array in arrays.items()} == expected


def test_training_and_service_shrink_alike() -> None:
    """A 96×96 photograph gets the same 48×48 pixels whether it is trained on or sent to the service."""
    pixels = np.random.default_rng(7).integers(0, 256, (96, 96), np.uint8)
    sent = fit(decode(open_image(png(pixels), max_pixels=10_000)), 48, 48)
    assert np.array_equal(sent, shrink(pixels))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/*/model.onnx")), ids=lambda path: path.parent.parent.name)
def test_shipped_models_keep_the_contract(path: Path) -> None:
    """Every shipped model loads, is small, was trained by a known commit and stands within the bound of parity."""
    session = CpuSession(path)
    assert path.stat().st_size < 3_000_000
    assert session.metadata.training["commit"]
    assert not session.metadata.training["commit"].endswith("dirty")
    assert session.metadata.parity["activations"] <= 1e-4
    assert session.metadata.parity["poses"] <= 1e-4


def test_the_default_model_is_shipped() -> None:
    """The service starts on a fresh clone: a version of its default model is there."""
    assert list((MODELS / Settings().default_model).glob("*/model.onnx"))
