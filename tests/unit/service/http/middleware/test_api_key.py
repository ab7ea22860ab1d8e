"""Requests need a valid API key, if there are keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from matcaps.service.keys import digest
from tests.support.doubles import Client, FakeSession, grey, serve


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a service that has two keys, first and second."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('first')}\nbob sha256:{digest('second')}\n")
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as client:
        yield client


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


def test_health_routes_need_no_key(client: Client) -> None:
    """Orchestrators have none."""
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_kept_poses_belong_to_their_key(client: Client) -> None:
    """With another key the response is that of an unknown id."""
    first, second = {"x-api-key": "first"}, {"x-api-key": "second"}
    id_ = client.post_png("/predict", grey(1), **first).json()["id"]
    assert client.get(f"/poses/{id_}", headers=first).status_code == 200
    for path in (f"/poses/{id_}", "/poses/none"):
        assert client.get(path, headers=second).status_code == 404
    other, unknown = (client.get(path, headers=second).json() for path in (f"/poses/{id_}", "/poses/none"))
    assert other == unknown
