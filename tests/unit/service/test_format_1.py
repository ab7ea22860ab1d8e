"""The service still serves artefacts of format 1."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from matcaps.service.app import create_app
from matcaps.service.backends.artefact import LARGE_OUTPUTS
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.settings import Settings
from tests.support.doubles import Client, client_of, grey, write_model

FILE = Path(__file__).parents[2] / "data" / "format-1.onnx"
OLD_OUTPUTS = [
    "activations",
    "poses",
    "primary_caps_activations",
    "primary_caps_poses",
    "conv_caps_1_activations",
    "conv_caps_1_poses",
    "conv_caps_2_activations",
    "conv_caps_2_poses",
    "class_assignments",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service over the file alone."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "old", 1, FILE.read_bytes())
    app = create_app(Settings(models=folder, default_model="old"), lambda path: [CpuSession(path, threads=1)])
    with client_of(app) as client:
        yield client


def test_predictions_and_poses_are_answered(client: Client) -> None:
    """As from any other file, in JSON and in npz."""
    answer = client.post_png("/predict", grey(99)).json()
    assert set(answer["predictions"][0]["activations"]) == {"circle", "square"}
    poses = client.post_png("/poses?layer=conv_caps_1", grey(99)).json()
    assert np.array(poses["predictions"][0]["poses"]).shape == (3, 3, 1, 4, 4)
    arrays = client.post_png("/predict", grey(99), accept="application/x-npz").content
    assert np.load(io.BytesIO(arrays)).files == OLD_OUTPUTS


def test_the_model_is_described_without_what_it_lacks(client: Client) -> None:
    """Its format is 1, and neither route names outputs that it does not have."""
    described = client.get("/models/old").json()
    assert (described["format"], described["pixels"]) == (1, None)
    assert [output["name"] for output in client.get("/v2/models/old").json()["outputs"]] == OLD_OUTPUTS


@pytest.mark.parametrize("name", LARGE_OUTPUTS)
def test_an_output_of_format_2_is_refused_with_those_that_there_are(client: Client, name: str) -> None:
    """404, and the error lists all outputs of the model."""
    pixels = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 18, 18], "data": [0] * 324}
    response = client.post("/v2/models/old/infer", json={"inputs": [pixels], "outputs": [{"name": name}]})
    assert response.status_code == 404
    assert response.json() == {"error": f"no output {name!r}; there are {', '.join(OLD_OUTPUTS)}"}
