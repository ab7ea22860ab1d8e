"""An RGB model, as a client of the native routes and of /v2 sees it."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.doubles import Client, FakeSession, encoded, grey, serve

COLOURS = np.random.default_rng(3).integers(0, 256, (8, 8, 3)).astype(np.uint8)
INFER = "/v2/models/photos/infer"


@pytest.fixture
def session() -> FakeSession:
    return FakeSession(channels=3)


@pytest.fixture
def client(tmp_path: Path, session: FakeSession) -> Iterator[Client]:
    with serve(tmp_path, {"photos/1": session, "norb/1": FakeSession()}) as client:
        yield client


def as_base64(*contents: bytes) -> list[str]:
    return [base64.b64encode(content).decode() for content in contents]


def test_each_image_is_a_sample_in_colour(client: Client, session: FakeSession) -> None:
    """Three images are three samples; the network gets the colours, channels first."""
    contents = [encoded(Image.fromarray(np.roll(COLOURS, number, 0))) for number in range(3)]
    answer = client.post("/predict", json={"images": as_base64(*contents)})
    assert len(answer.json()["predictions"]) == 3
    found = np.concatenate(session.batches)
    assert np.array_equal(found, [np.roll(COLOURS, number, 0).transpose(2, 0, 1) for number in range(3)])


def test_a_grey_image_gets_three_equal_channels(client: Client, session: FakeSession) -> None:
    """A grey image is sent to an RGB model as it is to a grey one."""
    assert client.post_png("/predict", grey(77)).status_code == 200
    assert np.array_equal(session.batches[0], np.full((1, 3, 8, 8), 77))


def test_the_description_has_three_channels(client: Client) -> None:
    """``GET /models/NAME`` and ``/v2`` say what a sample is: three channels of pixels, or one file."""
    assert client.get("/models/photos").json()["image"] == {"channels": 3, "height": 8, "width": 8}
    assert client.get("/v2/models/photos").json()["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 3, 8, 8]},
        {"name": "files", "datatype": "BYTES", "shape": [-1, 1]},
    ]


@pytest.mark.parametrize("kind", ["files", "images"])
def test_files_and_pixels_give_the_same_sample(client: Client, session: FakeSession, kind: str) -> None:
    """Under /v2 a sample is one encoded file, or its pixels [3, height, width]."""
    if kind == "files":
        tensor = {"datatype": "BYTES", "shape": [1, 1], "data": as_base64(encoded(Image.fromarray(COLOURS)))}
    else:
        tensor = {"datatype": "UINT8", "shape": [1, 3, 8, 8], "data": COLOURS.transpose(2, 0, 1)[None].tolist()}
    answer = client.post(INFER, json={"inputs": [{"name": kind, **tensor}]})
    assert answer.status_code == 200
    assert np.array_equal(session.batches[0][0], COLOURS.transpose(2, 0, 1))


def test_pixels_of_another_number_of_channels_are_refused(client: Client) -> None:
    """The error has the shape that the model takes."""
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 8, 8], "data": [0] * 64}
    answer = client.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 400
    assert answer.json()["error"] == "images must have the shape [n, 3, 8, 8], got [1, 1, 8, 8]"


def test_the_limit_counts_samples_not_channels(tmp_path: Path) -> None:
    """An RGB sample is one image of ``MATCAPS_MAX_IMAGES``, however it is sent."""
    with serve(tmp_path, {"photos/1": FakeSession(channels=3)}, max_images=2) as client:
        for count, status in ((2, 200), (3, 413)):
            tensor = {"name": "images", "datatype": "UINT8", "shape": [count, 3, 8, 8], "data": [0] * (count * 192)}
            assert client.post(INFER, json={"inputs": [tensor]}).status_code == status
            assert client.post("/predict", json={"images": as_base64(*[grey(1)] * count)}).status_code == status
