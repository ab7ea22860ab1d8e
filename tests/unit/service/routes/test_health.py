"""Whether the service is live and ready."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from matcaps.service.app import create_app
from matcaps.service.engine.batcher import Batcher
from matcaps.service.settings import Settings
from tests.support.doubles import Client, FakeSession, client_of, fake_models, serve
from tests.support.workers import serve_by_workers


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


@pytest.mark.parametrize("serving", [serve, serve_by_workers])
def test_a_service_whose_thread_has_ended_is_not_live(
    serving: Callable[..., AbstractContextManager[Client]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both protocols, so that the orchestrator restarts it."""
    monkeypatch.setattr(Batcher, "alive", property(lambda _: False))
    with serving(tmp_path, {"norb/1": FakeSession()}) as client:
        for path in ("/health/live", "/v2/health/live"):
            assert client.get(path).status_code == 503


def test_health_answers_head(client: Client) -> None:
    """Some load balancers ask only for the status."""
    for path in ("/health/live", "/health/ready"):
        answer = client.request("HEAD", path)
        assert answer.status_code == 200
    assert "head" not in client.get("/openapi.json").json()["paths"]["/health/live"]
