"""Requests need a valid API key, if there are keys."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from matcaps.service.app import create_app
from matcaps.service.keys import digest
from matcaps.service.settings import Settings
from tests.support.doubles import Client, FakeSession, client_of, fake_models, grey, serve

HEALTH = {"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"}
PAGES = {"/", "/web/{name}", "/docs", "/docs/{name}", "/openapi.json"}
SPELLINGS = [
    *("//models", "/./models", "/%2fmodels", "/\\models", "/models/norb;/docs", "/models%2f..%2fdocs"),
    *("/docs/../models", "/docs/%2e%2e/models", "/docs/%2e%2e%2fmodels", "/docs%2fx/models", "/docs\\models"),
    *("/health/../models", "/health/%2e%2e/models", "/web/%2e%2e/models", "/openapi.json/models", "/docs;/models"),
    *("/DOCS", "/docsx", "/web", "/health", "/v2/health", "/docs/models/norb"),
]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file with two keys, first and second."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('first')}\nbob sha256:{digest('second')}\n")
    return keys


@pytest.fixture
def client(tmp_path: Path, keys: Path) -> Iterator[Client]:
    """A client of a service that has these keys."""
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as client:
        yield client


def schemes(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The ways to send a key that are the alternatives of a schema."""
    names = [name for alternative in schema["security"] for name in alternative]
    return [schema["components"]["securitySchemes"][name] for name in names]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer first"},
        {"authorization": "bearer second"},
        {"x-api-key": "first"},
        {"authorization": "Basic abc", "x-api-key": "second"},
    ],
)
def test_a_valid_key_is_accepted(client: Client, headers: dict[str, str]) -> None:
    """Any of the keys, in either header."""
    assert client.post_png("/predict", grey(1), **headers).status_code == 200
    assert client.get("/models", headers=headers).status_code == 200
    assert client.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "first"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer third"},
        {"authorization": "Basic first"},
        {"authorization": "Bearer third", "x-api-key": "first"},
        {"x-api-key": "First"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/predict", "/poses", "/poses/1", "/models", "/models/norb", "/metrics", "/docs", "/openapi.json", "/none"]
)
def test_every_route_needs_a_valid_key(client: Client, headers: dict[str, str], path: str) -> None:
    """Unknown routes too; the response says how to send a key."""
    response = client.post_png(path, grey(1), **headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert "X-API-Key" in response.json()["detail"]


@pytest.mark.parametrize("root_path", ["", "/capsules"])
@pytest.mark.parametrize(("open_pages", "expected"), [(True, HEALTH | PAGES), (False, HEALTH)])
def test_no_other_route_of_the_application_is_open(
    tmp_path: Path, keys: Path, open_pages: bool, expected: set[str], root_path: str
) -> None:
    """Of all routes with all their methods; pages only to GET and HEAD."""
    settings = Settings(
        models=tmp_path / "models", default_model="norb", api_keys=keys, open_pages=open_pages, root_path=root_path
    )
    app = create_app(settings, fake_models(tmp_path / "models", {"norb/1": FakeSession()}))
    routes = {route.path: route.methods or set() for route in iter_route_contexts(app.routes) if route.path}
    assert len(routes) > 20
    methods = {"GET", "HEAD", "POST", "PUT", "DELETE"}
    assert set().union(*routes.values()) <= methods
    found = set()
    with client_of(app) as client:
        for path in routes:
            filled = path.format(name="norb", version=1, id=1)
            for method in methods:
                if client.request(method, root_path + filled).status_code != 401:
                    found.add(path)
                    assert path in HEALTH or method in ("GET", "HEAD"), f"{method} {path}"
    assert found == expected


def test_no_spelling_of_a_path_gets_past_the_key(client: Client) -> None:
    """The routes see the path as the check does."""
    for path in SPELLINGS:
        response = client.get(f"http://service{path}")
        assert response.status_code in (401, 404), path
        assert "versions" not in response.text, path


def test_health_routes_need_no_key(client: Client) -> None:
    """Orchestrators have none."""
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_the_documentation_says_where_a_key_is_needed(client: Client, tmp_path: Path) -> None:
    """And how to send it; without keys one may be sent."""
    schema = client.get("/openapi.json").json()
    assert [(scheme["type"], scheme.get("scheme"), scheme.get("name")) for scheme in schemes(schema)] == [
        ("http", "bearer", None),
        ("apiKey", None, "X-API-Key"),
    ]
    assert {} not in schema["security"]
    free = {path for path, operations in schema["paths"].items() for one in operations.values() if "security" in one}
    assert free == HEALTH
    with serve(tmp_path / "others", {"norb/1": FakeSession()}) as anybody:
        schema = anybody.get("/openapi.json").json()
    assert schema["security"][0] == {}
    assert len(schemes(schema)) == 2


def test_kept_poses_belong_to_their_key(client: Client) -> None:
    """With another key the response is that of an unknown id."""
    first, second = {"x-api-key": "first"}, {"x-api-key": "second"}
    id_ = client.post_png("/predict", grey(1), **first).json()["id"]
    assert client.get(f"/poses/{id_}", headers=first).status_code == 200
    for path in (f"/poses/{id_}", "/poses/none"):
        assert client.get(path, headers=second).status_code == 404
    other, unknown = (client.get(path, headers=second).json() for path in (f"/poses/{id_}", "/poses/none"))
    assert other == unknown
