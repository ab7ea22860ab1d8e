"""HEAD is answered as GET is, without a body."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.doubles import FakeSession, grey
from tests.support.listening import LIMIT_S, listening

CHANGING = {"date", "server-timing", "x-request-id"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a service on a socket."""
    with (
        listening(tmp_path, {"norb/1": FakeSession()}) as running,
        httpx.Client(base_url=running.address, timeout=LIMIT_S, trust_env=False) as client,
    ):
        yield client


def answers(client: httpx.Client, path: str, **headers: str) -> tuple[httpx.Response, httpx.Response]:
    """The answers to GET and HEAD; the second request on the connection shows that no body followed the first."""
    head = client.head(path, headers=headers)
    return client.get(path, headers=headers), head


def assert_alike(get: httpx.Response, head: httpx.Response) -> None:
    """Assert that status and headers are the same, but for times and lengths of what grows."""
    changing = CHANGING | ({"content-length"} if get.url.path == "/metrics" else set())
    assert head.status_code == get.status_code, get.url
    assert set(head.headers) == set(get.headers), get.url
    for name in set(get.headers) - changing:
        assert head.headers[name] == get.headers[name], (get.url, name)
    assert head.content == b""


def test_every_route_with_get_answers_head(client: httpx.Client) -> None:
    """All routes of the documentation, the documentation itself, and the explorer page."""
    kept = client.post("/predict", content=grey(1), headers={"content-type": "image/png"}).json()["id"]
    documented = client.get("/openapi.json").json()["paths"]
    paths = [path for path, methods in documented.items() if "get" in methods]
    assert len(paths) > 10
    for path in [*paths, "/", "/web/main.js", "/docs", "/docs/start.js", "/openapi.json"]:
        filled = path.format(id=kept, name="norb", version=1)
        get, head = answers(client, filled)
        assert get.status_code < 400, filled
        assert_alike(get, head)


@pytest.mark.parametrize("path", ["/nowhere", "/models/cat", "/poses/0", "/predict", "/v2/models/cat", "/models?a=b"])
def test_errors_are_alike(client: httpx.Client, path: str) -> None:
    """HEAD gets the status of GET also where that is an error, and no body."""
    assert_alike(*answers(client, path))
    assert_alike(*answers(client, path, accept="image/gif"))


def test_a_wrong_method_is_told_of_head(client: httpx.Client) -> None:
    """The header Allow of status 405 names HEAD where GET is answered."""
    assert client.post("/models").headers["allow"] == "GET, HEAD"
    assert client.head("/predict").headers["allow"] == "POST"


def test_head_counts_under_its_route(client: httpx.Client) -> None:
    """The metrics name the route of a HEAD request."""
    client.head("/models/norb")
    assert 'route="/models/{name}"' in client.get("/metrics").text
