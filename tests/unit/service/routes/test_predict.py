"""Predictions, as a client sees them."""

import base64

import numpy as np
import pytest
from PIL import Image

from matcaps.service.backends.artefact import LARGE_OUTPUTS
from matcaps.service.http.schemas import PredictAnswer
from tests.support.bodies import NPZ, arrays_of, as_form, as_json
from tests.support.doubles import CLASSES, Client, FakeSession, encoded, grey, output_shapes


def test_one_image_is_answered(client: Client) -> None:
    """With an id, the model, a label, and activations and poses by class."""
    response = client.post_png("/predict", grey(100))
    answer = PredictAnswer.model_validate_json(response.content, strict=True)
    assert response.status_code == 200
    assert answer.model.model_dump() == {"name": "norb", "version": 2}
    (prediction,) = answer.predictions
    assert prediction.label == CLASSES[-1]
    assert prediction.activations == pytest.approx({"animal": 0.1, "human": 0.101, "airplane": 0.102})
    assert list(prediction.poses) == CLASSES
    assert prediction.poses["human"][0] == pytest.approx([0.116, 0.117, 0.118, 0.119])


def test_an_image_may_come_raw_in_a_form_or_in_json(client: Client) -> None:
    """The same image gets the same prediction, and each request an id of its own."""
    raw = client.post_png("/predict", grey(7)).json()
    form = client.post("/predict", files=as_form(grey(7))).json()
    plain = client.post("/predict", json=as_json(grey(7))).json()
    url = {"images": ["data:image/png;base64," + as_json(grey(7))["images"][0]]}
    part = b'--edge\r\nContent-Disposition: form-data; name="images"\r\nContent-Type: image/png\r\n\r\n' + grey(7)
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    nameless = client.post("/predict", content=part + b"\r\n--edge--\r\n", headers=headers).json()
    wrapped = {"images": [base64.encodebytes(grey(7)).decode()]}
    answers = [
        raw,
        form,
        nameless,
        plain,
        client.post("/predict", json=url).json(),
        client.post("/predict", json=wrapped).json(),
    ]
    assert all(answer["predictions"] == raw["predictions"] for answer in answers)
    assert len({answer["id"] for answer in answers}) == 6


@pytest.mark.parametrize("count", [1, 2, 9, 64])
def test_many_images_are_answered_in_their_order(client: Client, sessions: dict[str, FakeSession], count: int) -> None:
    """They run in batches of at most the size that is set."""
    images = [grey(3 * level) for level in range(count)]
    for options in ({"files": as_form(*images)}, {"json": as_json(*images)}):
        answer = client.post("/predict", **options).json()
        found = [prediction["activations"]["animal"] for prediction in answer["predictions"]]
        assert found == pytest.approx([3 * level / 1000 for level in range(count)])
    assert max(len(batch) for batch in sessions["norb/2"].batches) <= 8


def test_a_stereo_model_takes_pairs_of_images(client: Client, sessions: dict[str, FakeSession]) -> None:
    """Consecutive images are left and right; an odd number is refused."""
    images = [grey(level) for level in (10, 20, 30, 40)]
    answer = client.post("/predict?model=stereo", json=as_json(*images))
    assert len(answer.json()["predictions"]) == 2
    (batch,) = sessions["stereo/1"].batches
    assert batch[:, :, 0, 0].tolist() == [[10, 20], [30, 40]]
    refused = client.post("/predict?model=stereo", json=as_json(*images[:3]))
    assert refused.status_code == 400
    assert "left, right" in refused.json()["detail"]


def test_images_are_resized_for_the_network(client: Client, sessions: dict[str, FakeSession]) -> None:
    """A client may send any size."""
    client.post_png("/predict", encoded(Image.new("RGB", (301, 77), (50, 50, 50)), "JPEG"))
    assert sessions["norb/2"].batches[0].shape == (1, 1, 8, 8)


def test_the_query_chooses_model_and_version(client: Client) -> None:
    """By default the highest version of the default model answers."""
    for query, found in [
        ("", {"name": "norb", "version": 2}),
        ("?model=norb", {"name": "norb", "version": 2}),
        ("?version=1", {"name": "norb", "version": 1}),
        ("?model=norb&version=2", {"name": "norb", "version": 2}),
    ]:
        assert client.post_png("/predict" + query, grey(1)).json()["model"] == found


def test_npz_holds_the_outputs_that_the_query_names(client: Client) -> None:
    """Large ones too, in that order, and the class poses only if they are named."""
    response = client.post("/predict?outputs=pixels,conv_caps_1_assignments", json=as_json(grey(4)), headers=NPZ)
    arrays = arrays_of(response.content)
    shapes = output_shapes()
    assert list(arrays) == ["pixels", "conv_caps_1_assignments"]
    assert all(array.shape == (1, *shapes[name]) for name, array in arrays.items())
    kept = client.get(f"/poses/{response.headers['x-prediction-id']}", headers=NPZ)
    assert arrays_of(kept.content)["poses"].shape == (1, *shapes["poses"])


def test_outputs_of_a_query_that_cannot_be_answered_are_refused(client: Client) -> None:
    """JSON has activations and poses alone; an unknown or empty name gets the list of outputs."""
    response = client.post("/predict?outputs=pixels", json=as_json(grey(4)))
    assert response.status_code == 400
    assert "outputs can be chosen for application/x-npz alone" in response.json()["detail"]
    for named, quoted in (("poses,depth", "'depth'"), ("", "''"), ("poses,", "''")):
        response = client.post(f"/predict?outputs={named}", json=as_json(grey(4)), headers=NPZ)
        assert response.status_code == 404
        assert response.json()["detail"] == f"no output {quoted}; there are {', '.join(output_shapes())}"


def test_npz_holds_all_outputs_but_the_large_ones(client: Client) -> None:
    """Under the names of the model file; the id is in a header."""
    response = client.post("/predict", json=as_json(grey(4), grey(8)), headers=NPZ)
    arrays = arrays_of(response.content)
    assert response.headers["content-type"] == "application/x-npz"
    assert {name: array.shape for name, array in arrays.items()} == {
        name: (2, *shape) for name, shape in output_shapes().items() if name not in LARGE_OUTPUTS
    }
    assert all(array.dtype == np.float32 for array in arrays.values())
    kept = client.get(f"/poses/{response.headers['x-prediction-id']}", headers=NPZ)
    assert np.array_equal(arrays_of(kept.content)["poses"], arrays["poses"])


@pytest.mark.parametrize("failure", [RuntimeError("/secret/path exploded"), ValueError("no"), MemoryError()])
def test_a_failing_network_is_503(client: Client, sessions: dict[str, FakeSession], failure: Exception) -> None:
    """The error shows nothing internal, and the next request is answered."""
    sessions["norb/2"].failure = failure
    response = client.post_png("/predict", grey(1))
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    sessions["norb/2"].failure = None
    assert client.post_png("/predict", grey(1)).status_code == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_503(client: Client, sessions: dict[str, FakeSession], value: float) -> None:
    """JSON has no such numbers."""
    sessions["norb/2"].last_element = value
    assert client.post_png("/predict", grey(1)).status_code == 503
