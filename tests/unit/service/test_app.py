"""The whole application: limits of bodies, its schema, and real model files."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from matcaps.service.app import create_app
from matcaps.service.backends.open import open_session
from matcaps.service.settings import Settings
from tests.support.bodies import as_form, as_json
from tests.support.doubles import CLASSES, Client, FakeSession, client_of, encoded, grey, serve, write_model


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


def test_the_documentation_is_a_page(client: Client) -> None:
    """GET /docs is an HTML page."""
    assert client.get("/docs").headers["content-type"].startswith("text/html")


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
