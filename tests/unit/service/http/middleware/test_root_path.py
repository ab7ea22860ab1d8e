"""A service under a path of a proxy answers as without it, whether or not the proxy removes the path."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matcaps.service.app import create_app
from matcaps.service.http.middleware.root_path import path_of
from matcaps.service.keys import digest
from matcaps.service.settings import ROUTES, Settings
from tests.support.doubles import Client, FakeSession, client_of, fake_models, grey, serve

ROOT_PATH = "/ai/capsules"
EITHER = pytest.mark.parametrize("prefix", [ROOT_PATH, ""], ids=["left", "removed"])


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a service with a root path."""
    with serve(tmp_path, {"norb/1": FakeSession()}, root_path=ROOT_PATH) as client:
        yield client


@EITHER
def test_routes_are_answered(client: Client, prefix: str) -> None:
    """Whether or not the proxy removes the path; query strings stay."""
    answer = client.post_png(f"{prefix}/predict?model=norb", grey(1))
    assert answer.status_code == 200
    assert client.get(f"{prefix}/poses/{answer.json()['id']}").status_code == 200
    assert client.get(f"{prefix}/v2/models/norb").json()["name"] == "norb"
    assert client.get(f"{prefix}/health/ready").status_code == 200


@EITHER
def test_the_documentation_names_the_root_path(client: Client, prefix: str) -> None:
    """In the schema's servers; the page's own links are relative."""
    assert 'href="docs/swagger-ui.css"' in client.get(f"{prefix}/docs").text
    assert client.get(f"{prefix}/docs/swagger-ui.css").status_code == 200
    schema = client.get(f"{prefix}/openapi.json").json()
    assert schema["servers"] == [{"url": ROOT_PATH}]
    assert "/predict" in schema["paths"]


@pytest.mark.parametrize(
    "path", ["/ai", "/ai/capsulesX/predict", "/ai/capsules/ai/capsules/models", "/ai/capsules//docs"]
)
def test_other_paths_are_not_found(client: Client, path: str) -> None:
    """The path is removed once, and only as a whole."""
    assert client.get(path).status_code == 404


@EITHER
def test_errors_keep_their_form(client: Client, prefix: str) -> None:
    """Problems, and under /v2 the protocol's form."""
    assert client.get(f"{prefix}/nowhere").headers["content-type"] == "application/problem+json"
    assert list(client.get(f"{prefix}/v2/nowhere").json()) == ["error"]


@EITHER
def test_only_health_and_pages_are_open_without_a_key(tmp_path: Path, prefix: str) -> None:
    """A root path opens no other route."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('first')}\n")
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys, root_path="/x") as client:
        prefix = prefix and "/x"
        for path in ("/health/live", "/health/ready", "/v2/health/live", "/", "/docs", "/docs/start.js"):
            assert client.get(prefix + path).status_code == 200
        for path in ("/models", "/metrics", "/x/x/health/live", "/x/x/docs", "/health", "/health/../models"):
            assert client.get(prefix + path).status_code == 401, path
        assert client.get(f"{prefix}/models", headers={"x-api-key": "first"}).status_code == 200


@EITHER
def test_metrics_and_log_have_the_paths_of_the_routes(tmp_path: Path, prefix: str) -> None:
    """So dashboards and searches do not depend on the proxy; polled routes stay out of the log."""
    lines: list[dict[str, Any]] = []

    class Log:
        def info(self, _: str, **values: Any) -> None:
            lines.append(values)

    settings = Settings(models=tmp_path, default_model="norb", root_path=ROOT_PATH)
    app = create_app(settings, fake_models(tmp_path, {"norb/1": FakeSession()}), log=Log())
    with client_of(app) as client:
        for path in ("/models", "/health/ready", "/metrics"):
            assert client.get(prefix + path).status_code == 200
        assert 'matcaps_requests_total{model="",route="/models",status="200"} 1.0' in client.get("/metrics").text
    assert [line["path"] for line in lines] == ["/models"]


def test_an_unexpected_error_keeps_its_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its handler stands outside of the middleware."""
    settings = Settings(models=tmp_path, default_model="norb", root_path=ROOT_PATH)
    app = create_app(settings, fake_models(tmp_path, {"norb/1": FakeSession()}))

    @app.get("/v2/broken")
    async def broken() -> None:
        raise RuntimeError("broken")

    with client_of(app) as client, caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="broken"):
        client.get(f"{ROOT_PATH}/v2/broken")
    assert "GET /v2/broken failed" in caplog.messages


def test_the_path_of_a_request_is_that_of_the_route() -> None:
    """A server may set a root path too, as Ray does for its prefix; one that is not in the path changes nothing."""
    assert path_of({"path": "/x/models", "root_path": "/x"}) == "/models"
    assert path_of({"path": "/models", "root_path": "/x"}) == "/models"
    assert path_of({"path": "/xy/models", "root_path": "/x"}) == "/xy/models"
    assert path_of({"path": "/models"}) == "/models"


def test_a_root_path_cannot_begin_like_a_route(tmp_path: Path) -> None:
    """The settings know how all routes begin."""
    app = create_app(Settings(models=tmp_path, default_model="norb"), fake_models(tmp_path, {"norb/1": FakeSession()}))
    with client_of(app) as client:
        found = {path.split("/")[1] for path in client.get("/openapi.json").json()["paths"]}
        assert all(client.get(f"/{page}").status_code == 200 for page in ROUTES - found - {"web"})
        assert client.get("/web/main.js").status_code == 200
    assert found <= ROUTES
