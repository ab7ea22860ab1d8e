"""Web pages of other origins may call the service if the settings name the origin."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from matcaps.service.app import create_app
from matcaps.service.errors import QueueFullError
from matcaps.service.keys import digest
from matcaps.service.settings import Settings
from tests.support.doubles import Client, FakeSession, client_of, fake_models, grey, serve

PAGE = "https://app.example.com"
OTHER = "https://other.example.com"
KEY = {"x-api-key": "first"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a service with keys, which the pages of two origins may call."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('first')}\n")
    origins = f"{PAGE.upper()}, http://localhost:3000"
    with serve(
        tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys, cors_origins=origins, max_body_bytes=1000
    ) as client:
        yield client


def preflight(client: Client, origin: str, path: str = "/predict", method: str = "POST") -> httpx.Response:
    """What a browser sends before a request that has a key and an image."""
    asked = {"access-control-request-method": method, "access-control-request-headers": "content-type,x-api-key"}
    return client.request("OPTIONS", path, headers={"origin": origin, **asked})


@pytest.mark.parametrize("path", ["/predict", "/v2/models/norb/infer"])
@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_a_preflight_needs_no_key(client: Client, origin: str, path: str) -> None:
    """Browsers send none with it."""
    answer = preflight(client, origin, path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-headers"] == "content-type,x-api-key"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("origin", [OTHER, "null", "https://app.example.com.evil.example", "http://app.example.com"])
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    """The browser sees no header that allows it."""
    refused = preflight(client, origin)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-origin" not in client.get("/models", headers={"origin": origin, **KEY}).headers


def test_a_page_reads_answers_and_errors(client: Client) -> None:
    """With the headers that say when to try again, and which entry of the log it was."""
    image = {"origin": PAGE, "content-type": "image/png"}
    answers = [
        client.post("/predict", content=grey(1), headers={**image, **KEY}),
        client.post("/predict", content=grey(1), headers=image),
        client.post("/predict?model=none", content=grey(1), headers={**image, **KEY}),
        client.post("/predict", content=bytes(1001), headers={**image, **KEY}),
        client.post("/predict", content=bytes(10), headers={**image, **KEY}),
        client.post("/v2/models/none/infer", content=b"{}", headers={**image, **KEY}),
        client.request("OPTIONS", "/predict", headers={"origin": PAGE, **KEY}),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 413, 422, 404, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "Origin"
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {"x-request-id", "server-timing", "retry-after", "inference-header-content-length"} <= {*exposed}
        assert "access-control-allow-credentials" not in answer.headers


def test_a_page_reads_that_the_queue_is_full(tmp_path: Path) -> None:
    """With the time after which it may try again."""
    settings = Settings(models=tmp_path, default_model="norb", cors_origins=PAGE)
    app = create_app(settings, fake_models(tmp_path, {"norb/1": FakeSession()}))

    @app.get("/full")
    async def full() -> None:
        raise QueueFullError("the queue is full", 1.0)

    with client_of(app) as client:
        answer = client.get("/full", headers={"origin": PAGE})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_a_star_allows_any_origin(tmp_path: Path) -> None:
    """The answer then is the same for all, so caches may share it."""
    with serve(tmp_path, {"norb/1": FakeSession()}, cors_origins="*") as client:
        assert preflight(client, OTHER).headers["access-control-allow-origin"] == "*"
        assert client.get("/models", headers={"origin": OTHER}).headers["access-control-allow-origin"] == "*"


def test_without_origins_nothing_changes(tmp_path: Path) -> None:
    """No header, and OPTIONS is a method that no route has."""
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        answer = client.get("/models", headers={"origin": PAGE})
        assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]
        assert preflight(client, PAGE).status_code == 405


def test_a_preflight_works_under_a_root_path(tmp_path: Path) -> None:
    """A proxy may leave its path there."""
    with serve(tmp_path, {"norb/1": FakeSession()}, cors_origins=PAGE, root_path="/capsules") as client:
        assert preflight(client, PAGE, "/capsules/predict").status_code == 200
