"""Both clients against a service on a socket: they agree with raw HTTP, and errors carry its reasons."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from matcaps.client import LayerPoses, MatcapsError, Prediction
from matcaps.service.keys import digest
from tests.support.clients import KINDS, Kind, call
from tests.support.doubles import CLASSES, GRIDS, FakeSession, grey
from tests.support.listening import listening

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with a model of single pictures, which is the default, and one of pairs."""
    sessions = {"norb/1": FakeSession(), "norb/3": FakeSession(), "stereo/2": FakeSession(channels=2)}
    with listening(tmp_path_factory.mktemp("models"), sessions) as running:
        yield running.address


def raw(address: str, path: str, *contents: bytes) -> Any:
    """The answer of the service to files in a form."""
    files = [("images", ("a.png", content, "image/png")) for content in contents]
    return httpx.post(address + path, files=files, trust_env=False).json()


@each_kind
@pytest.mark.parametrize("model", [{}, {"model": "norb", "version": 1}])
def test_a_prediction_is_that_of_raw_http(kind: Kind, address: str, model: dict[str, Any]) -> None:
    """Every number, label and name is the one that the service answers."""
    contents = [grey(level) for level in (10, 77, 200)]
    expected = raw(address, f"/predict?{httpx.QueryParams(model)}", *contents)
    found = call(kind, address, "predict", contents, **model)
    assert isinstance(found, Prediction)
    assert {"name": found.model, "version": found.version} == expected["model"]
    assert found.classes == tuple(CLASSES)
    for row, sample in enumerate(expected["predictions"]):
        assert found.labels[row] == sample["label"]
        assert dict(zip(found.classes, found.activations[row].tolist(), strict=True)) == sample["activations"]
        assert dict(zip(found.classes, found.poses[row].tolist(), strict=True)) == sample["poses"]


@each_kind
@pytest.mark.parametrize("layer", [*GRIDS, "class_caps"])
def test_the_poses_of_a_layer_are_those_of_raw_http(kind: Kind, address: str, layer: str) -> None:
    """A layer's poses are an array by row, column and type, those of the classes by class."""
    contents = [grey(10), grey(20)]
    expected = raw(address, f"/poses?layer={layer}", *contents)
    found = call(kind, address, "poses", contents, layer)
    assert isinstance(found, LayerPoses)
    assert (found.layer, list(found.grid)) == (layer, expected["grid"])
    values = [sample["poses"] for sample in expected["predictions"]]
    if layer == "class_caps":
        assert found.classes == tuple(CLASSES)
        values = [list(poses.values()) for poses in values]
    assert found.poses.tolist() == values


@each_kind
def test_poses_are_found_again_by_their_id(kind: Kind, address: str) -> None:
    """An answer's id returns its class poses; an unknown id is 404."""
    made = call(kind, address, "predict", grey(30))
    kept = call(kind, address, "kept_poses", made.id)
    assert (kept.id, kept.poses.tolist()) == (made.id, made.poses.tolist())
    with pytest.raises(MatcapsError, match=r"^404: no poses are kept under this id") as caught:
        call(kind, address, "kept_poses", "nobody")
    assert caught.value.status == 404


@each_kind
def test_models_are_described(kind: Kind, address: str) -> None:
    """Each model comes in its highest version; without a name the default model."""
    models = call(kind, address, "models")
    assert [(model.name, model.version, model.default) for model in models] == [
        ("norb", 3, True),
        ("stereo", 2, False),
    ]
    assert call(kind, address, "model") == models[0]
    found = call(kind, address, "model", "norb", 1)
    assert (found.version, found.versions, found.channels, found.classes) == (1, (1, 3), 1, tuple(CLASSES))
    assert {layer.name: layer.grid for layer in found.layers} == {**GRIDS, "class_caps": (1, 1)}
    assert call(kind, address, "ready") is True


@each_kind
def test_pictures_come_in_every_form(kind: Kind, address: str, tmp_path: Path) -> None:
    """A path, its text, bytes, an open file and an array of pixels are the same picture."""
    path = tmp_path / "a.png"
    path.write_bytes(grey(60))
    forms = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), np.full((8, 8), 60, np.uint8)]
    expected = call(kind, address, "predict", path)
    found = call(kind, address, "predict", forms)
    assert found.activations.tolist() == expected.activations.tolist() * len(forms)


@each_kind
def test_pairs_are_samples_of_a_stereo_model(kind: Kind, address: str) -> None:
    """A tuple is left and right; a model of single pictures refuses it."""
    pair = (grey(10), grey(30))
    assert call(kind, address, "predict", pair, model="stereo").activations[0, 0] == 0.02
    assert call(kind, address, "poses", [pair, pair], model="stereo").poses.shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"expected a model of pairs, got norb/3"):
        call(kind, address, "predict", [pair])
    with pytest.raises(MatcapsError, match=r"^400: the model takes 2 image\(s\) per sample"):
        call(kind, address, "predict", [grey(1), grey(2), grey(3)], model="stereo")


@each_kind
@pytest.mark.parametrize(
    ("images", "more", "status", "detail"),
    [
        (b"no picture", {}, 422, "not a readable image; supported formats: PNG"),
        (grey(1), {"model": "cat"}, 404, "no model 'cat'; there are norb, stereo"),
        (grey(1), {"version": 9}, 404, "norb has no version 9"),
        ([grey(1)] * 65, {}, 413, "at most 64 images per request, got 65"),
    ],
)
def test_a_refusal_has_status_and_detail(
    kind: Kind, address: str, images: Any, more: dict[str, Any], status: int, detail: str
) -> None:
    """The error's detail is that of the problem, and its text begins with the status."""
    with pytest.raises(MatcapsError) as caught:
        call(kind, address, "predict", images, **more)
    assert caught.value.status == status
    assert caught.value.detail.startswith(detail)
    assert str(caught.value) == f"{status}: {caught.value.detail}"


@each_kind
def test_the_api_key_is_shown(kind: Kind, tmp_path: Path) -> None:
    """With the key the service answers; without it the error is 401."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('secret')}\n")
    with listening(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as running:
        options = {"api_key": "secret"}
        assert call(kind, running.address, "predict", grey(5), options=options).labels == ("airplane",)
        with pytest.raises(MatcapsError, match=r"^401: "):
            call(kind, running.address, "predict", grey(5))
