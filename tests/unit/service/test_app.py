"""The native routes, as a client sees them."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from matcaps.service.app import create_app
from matcaps.service.backends.artefact import LARGE_OUTPUTS
from matcaps.service.backends.open import open_session
from matcaps.service.engine.batcher import Batcher
from matcaps.service.http.schemas import ModelAnswer, ModelsAnswer, PosesAnswer, PredictAnswer
from matcaps.service.settings import Settings
from tests.support.doubles import (
    CLASSES,
    GRIDS,
    TYPES,
    Client,
    FakeClock,
    FakeSession,
    client_of,
    encoded,
    fake_models,
    grey,
    output_shapes,
    serve,
    write_model,
)

NPZ = {"accept": "application/x-npz"}


@pytest.fixture
def sessions() -> dict[str, FakeSession]:
    return {"norb/1": FakeSession(), "norb/2": FakeSession(), "stereo/1": FakeSession(channels=2)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(tmp_path: Path, sessions: dict[str, FakeSession], clock: FakeClock) -> Iterator[Client]:
    with serve(tmp_path, sessions, clock) as client:
        yield client


def arrays_of(content: bytes) -> dict[str, NDArray[np.float32]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def as_json(*images: bytes) -> dict[str, Any]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


def as_form(*images: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("images", (f"{number}.png", image, "image/png")) for number, image in enumerate(images)]


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


def test_poses_are_those_of_a_prediction(client: Client) -> None:
    """POST /poses answers the poses of POST /predict, and nothing else."""
    poses = client.post_png("/poses", grey(9))
    PosesAnswer.model_validate_json(poses.content, strict=False)
    predicted = client.post_png("/predict", grey(9)).json()["predictions"][0]
    assert poses.json()["predictions"] == [{"poses": predicted["poses"]}]
    assert poses.json()["layer"] == "class_caps"


@pytest.mark.parametrize("layer", list(GRIDS))
def test_poses_of_a_layer_have_its_grid(client: Client, layer: str) -> None:
    """4×4 poses by row, column and type."""
    answer = client.post(f"/poses?layer={layer}", json=as_json(grey(0), grey(5)))
    PosesAnswer.model_validate_json(answer.content, strict=False)
    assert answer.json()["grid"] == list(GRIDS[layer])
    arrays = arrays_of(client.post(f"/poses?layer={layer}", json=as_json(grey(0), grey(5)), headers=NPZ).content)
    assert list(arrays) == [f"{layer}_poses"]
    found = np.array([prediction["poses"] for prediction in answer.json()["predictions"]])
    assert found.shape == (2, *GRIDS[layer], TYPES[layer], 4, 4)
    np.testing.assert_allclose(found.reshape(arrays[f"{layer}_poses"].shape), arrays[f"{layer}_poses"], atol=1e-6)


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


@pytest.mark.parametrize("path", ["/predict", "/poses", "/poses?layer=conv_caps_1"])
def test_poses_are_kept_by_id(client: Client, clock: FakeClock, path: str) -> None:
    """Class poses can be read until they are too old."""
    id_ = client.post_png(path, grey(6)).json()["id"]
    expected = client.post_png("/poses", grey(6)).json() | {"id": id_}
    assert client.get(f"/poses/{id_}").json() == expected
    clock.now_s += 600
    gone = client.get(f"/poses/{id_}")
    assert gone.status_code == 404
    assert gone.headers["content-type"] == "application/problem+json"


def test_the_number_of_kept_poses_is_limited(tmp_path: Path) -> None:
    """The oldest ones are dropped."""
    with serve(tmp_path, {"norb/1": FakeSession()}, kept_poses=2) as client:
        ids = [client.post_png("/predict", grey(level)).json()["id"] for level in range(3)]
        assert [client.get(f"/poses/{id_}").status_code for id_ in ids] == [404, 200, 200]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("APPLICATION/JSON; charset=utf-8", "application/json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/json;q=0.5, application/x-npz", "application/x-npz"),
        ("application/x-npz;q=0.5, application/json", "application/json"),
        ("*/*, application/json;q=0", "application/x-npz"),
        ("application/json;q=0.1, */*;q=0.2", "application/x-npz"),
    ],
)
def test_the_response_has_the_type_that_the_client_prefers(client: Client, accept: str, kind: str) -> None:
    """By the qualities in Accept."""
    assert client.post_png("/predict", grey(1), accept=accept).headers["content-type"] == kind


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/predict"), ("POST", "/poses"), ("GET", "/models"), ("GET", "/models/norb")]
)
@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;q=0", "nonsense", "text/*;q=0.9"])
def test_a_client_that_accepts_no_served_type_is_refused(client: Client, method: str, path: str, accept: str) -> None:
    """The error lists the types."""
    response = client.request(method, path, headers={"accept": accept, "content-type": "image/png"})
    assert response.status_code == 406
    assert "application/json" in response.json()["detail"]


def test_models_lists_each_model_in_its_default_version(client: Client) -> None:
    """With the provider in use and the training record."""
    answer = ModelsAnswer.model_validate_json(client.get("/models").content)
    assert [(model.name, model.version, model.versions, model.default) for model in answer.models] == [
        ("norb", 2, [1, 2], True),
        ("stereo", 1, [1], False),
    ]
    assert answer.models[0].provider == "FakeProvider"
    assert answer.models[0].training == {"data_set": "made up", "seed": 1}
    assert [layer["name"] for layer in answer.models[0].layers] == [*GRIDS, "class_caps"]
    assert answer.models[0].layers[0]["receptive_field"]["size"] == [3, 3]


def test_one_model_is_described_in_the_version_that_is_asked_for(client: Client) -> None:
    """By default in the highest one."""
    assert ModelAnswer.model_validate_json(client.get("/models/norb").content).version == 2
    assert ModelAnswer.model_validate_json(client.get("/models/norb?version=1").content).version == 1
    assert client.get("/models/stereo").json()["image"] == {"channels": 2, "height": 8, "width": 8}


def test_a_started_service_is_live_and_ready(client: Client) -> None:
    """Both routes answer 200."""
    assert [client.get(f"/health/{kind}").json() for kind in ("live", "ready")] == [
        {"status": "live"},
        {"status": "ready"},
    ]


def test_a_service_is_not_ready_before_its_start_and_after_its_end(tmp_path: Path) -> None:
    """But it is live."""
    load = fake_models(tmp_path, {"norb/1": FakeSession()})
    app = create_app(Settings(models=tmp_path, default_model="norb"), load)
    with client_of(app) as client:
        assert client.get("/health/ready").status_code == 200
    with client_of(app, started=False) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503


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


def test_bodies_images_and_pixels_are_limited(tmp_path: Path) -> None:
    """Above a limit the status is 413; at the limit a request is answered."""
    image = grey(1)
    limits: dict[str, Any] = {"max_body_bytes": 40 * len(image), "max_images": 3, "max_pixels": 64}
    with serve(tmp_path, {"norb/1": FakeSession()}, **limits) as client:
        assert client.post("/predict", files=as_form(*[image] * 3)).status_code == 200
        assert client.post("/predict", files=as_form(*[image] * 4)).status_code == 413
        assert client.post("/predict", json=as_json(*[image] * 4)).status_code == 413
        assert client.post_png("/predict", grey(1, 13, 5)).status_code == 413
        assert client.post_png("/predict", b"x" * 40 * len(image)).status_code == 422
        assert client.post_png("/predict", b"x" * 40 * len(image) + b"x").status_code == 413


def test_a_body_without_a_length_is_limited(tmp_path: Path) -> None:
    """It is refused, even if it never ends."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1000)

    with serve(tmp_path, {"norb/1": FakeSession()}, max_body_bytes=10_000, body_timeout_s=0.2) as client:
        response = client.post("/predict", content=endless(), headers={"content-type": "image/png"})
    assert response.status_code == 413


def test_the_schema_is_complete(client: Client) -> None:
    """It has all types of bodies and responses, and a problem for every error."""
    document = client.get("/openapi.json").json()
    text = json.dumps(document)
    for operation in (document["paths"][path]["post"] for path in ("/predict", "/poses")):
        kinds = set(operation["requestBody"]["content"])
        assert {"image/png", "image/jpeg", "multipart/form-data", "application/json"} <= kinds
        assert set(operation["responses"]["200"]["content"]) == {"application/json", "application/x-npz"}
    for path, methods in document["paths"].items():
        kind = "application/json" if path.startswith("/v2") else "application/problem+json"
        for operation in methods.values():
            errors = {status: answer for status, answer in operation["responses"].items() if status != "200"}
            assert all(set(answer["content"]) == {kind} for answer in errors.values())
            assert errors
    assert "HTTPValidationError" not in text
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.partition('"')[0] in document["components"]["schemas"]


def test_the_root_leads_to_the_documentation(client: Client) -> None:
    """GET /docs is an HTML page."""
    assert client.get("/docs").headers["content-type"].startswith("text/html")
    asked = client.get("/", follow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (307, "docs")


def test_a_service_whose_thread_has_ended_is_not_live(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """By both protocols, so that the orchestrator restarts it."""
    monkeypatch.setattr(Batcher, "alive", property(lambda _: False))
    for path in ("/health/live", "/v2/health/live"):
        assert client.get(path).status_code == 503


def test_health_answers_head(client: Client) -> None:
    """Some load balancers ask only for the status."""
    for path in ("/health/live", "/health/ready"):
        answer = client.request("HEAD", path)
        assert answer.status_code == 200
    assert "head" not in client.get("/openapi.json").json()["paths"]["/health/live"]


def test_a_model_file_is_answered_like_its_stand_in(tmp_path: Path) -> None:
    """So tests with fake sessions hold for real ones."""
    write_model(tmp_path / "models", "norb", 1)
    settings = Settings(models=tmp_path / "models", default_model="norb")
    image = encoded(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    with client_of(create_app(settings, lambda path: [open_session(path, "cpu", threads=1)])) as client:
        real = client.post_png("/predict", image).json()["predictions"][0]
    with serve(tmp_path / "fakes", {"norb/1": FakeSession()}) as client:
        fake = client.post_png("/predict", image).json()["predictions"][0]
    assert real["activations"] == pytest.approx(fake["activations"], abs=1e-6)
    assert np.allclose([real["poses"][name] for name in CLASSES], [fake["poses"][name] for name in CLASSES], atol=1e-5)


def test_a_body_that_is_too_slow_is_refused(tmp_path: Path) -> None:
    """The status is 408, and the error has the limit."""

    async def stalled() -> AsyncIterator[bytes]:
        yield grey(1)[:20]
        await asyncio.Event().wait()

    with serve(tmp_path, {"norb/1": FakeSession()}, body_timeout_s=0.02) as client:
        response = client.post("/predict", content=stalled(), headers={"content-type": "image/png"})
    assert response.status_code == 408
    assert "0.02 s" in response.json()["detail"]
