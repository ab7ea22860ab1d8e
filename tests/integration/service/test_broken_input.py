"""Any input is either answered, or rejected with a 4xx status and a problem that names the reason."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.broken_requests import ALL, FILE, FORM, GOOD, KINDS, WHOLE, Broken, form
from tests.support.doubles import Client, FakeSession, grey, serve

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of broken metadata


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serve(tmp_path_factory.mktemp("models"), {"norb/1": FakeSession()}) as client:
        yield client


def check_problem(response: httpx.Response) -> None:
    """The answer is an RFC 9457 problem with a reason that reveals nothing of the machine."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert 0 < len(problem["detail"]) < 600
    for secret in ("Traceback", "/tmp", "site-packages", ".py", "object at 0x"):
        assert secret not in problem["detail"]


def send(client: Client, request: Broken) -> httpx.Response:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
    return client.request(request.method, request.path, content=request.content, headers=headers)


@pytest.mark.parametrize("request_", ALL, ids=lambda request: request.name)
def test_a_broken_request_gets_its_status_and_a_reason(client: Client, request_: Broken) -> None:
    """A broken request is rejected with the expected status and a readable reason."""
    response = send(client, request_)
    assert response.status_code in request_.statuses, response.text
    if request_.method != "HEAD":
        check_problem(response)
    if response.status_code == 405:
        assert response.headers["allow"]


def test_the_broken_requests_are_many_and_distinct() -> None:
    """There are more than 300 broken requests, and no two are the same."""
    assert len({request[2:] for request in ALL}) == len(ALL) > 300


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=10),
    cut=st.integers(0, 4000),
    doubled=st.booleans(),
)
def test_mutated_images_are_answered_or_rejected(
    client: Client, kind: str, changes: list[tuple[int, int]], cut: int, doubled: bool
) -> None:
    """A mutated image file is answered, or rejected with a reason."""
    content = bytearray(WHOLE[kind] * (1 + doubled))
    for place, value in changes:
        content[place % len(content)] = value
    response = client.post(
        "/predict", content=bytes(content[cut % len(content) :]), headers={"content-type": KINDS[kind]}
    )
    assert response.status_code in (200, 413, 415, 422)
    if response.status_code != 200:
        check_problem(response)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(GOOD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("images"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_json_is_answered_or_rejected(client: Client, value: Any) -> None:
    """Any JSON is answered if it holds images, and rejected with a reason if not."""
    content = json.dumps(value).encode()
    response = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 422)
    if response.status_code != 200:
        check_problem(response)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 100))
def test_any_form_is_answered_or_rejected(client: Client, noise: bytes, place: int, removed: int) -> None:
    """A form with noise anywhere in it is answered, or rejected with a reason."""
    whole = form((FILE, grey(3)))
    place %= len(whole)
    content = whole[:place] + noise + whole[place + removed :]
    response = client.post("/predict", content=content, headers={"content-type": FORM})
    assert response.status_code in (200, 400, 413, 415, 422)
    if response.status_code != 200:
        check_problem(response)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])), st.sampled_from(["accept", "content-type"]))
def test_any_header_value_is_answered_or_rejected(client: Client, value: str, name: str) -> None:
    """No value of Accept or Content-Type makes the service fail."""
    headers = {"content-type": b"image/png", name: value.encode("latin-1")}
    response = client.post("/predict", content=grey(3), headers=headers)
    assert response.status_code in (200, 400, 406, 415, 422)
