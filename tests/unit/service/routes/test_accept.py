"""The type of the response, by the header Accept."""

import pytest

from tests.support.doubles import Client, grey


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
