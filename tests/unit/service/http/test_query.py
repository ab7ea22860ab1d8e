"""A version has one form and one limit, wherever a request or a folder names it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from matcaps.service.engine.versions import HIGHEST
from tests.support.doubles import Client, FakeSession, grey, serve

BIG = 10**18 - 1
WRONG = [
    "0",
    "-1",
    "+1",
    "007",
    "1.0",
    "1e3",
    "１",
    "²",
    "x",
    "",
    " 1",
    "1_0",
    str(10**18),
    str(2**63),
    str(2**64),
    "9" * 5000,
]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    sessions = {f"norb/{version}": FakeSession() for version in (1, BIG, 10**18, 2**64, "007")}
    with serve(tmp_path, sessions) as client:
        yield client


@pytest.mark.parametrize("version", WRONG)
def test_a_wrong_version_is_the_same_error_everywhere(client: Client, version: str) -> None:
    """It is 400 in the query and in the path of /v2."""
    named = quote(version, safe="")
    errors = [
        client.post_png(f"/predict?version={named}", grey(1)),
        client.post_png(f"/poses?version={named}", grey(1)),
        client.get(f"/models/norb?version={named}"),
    ]
    words = {answer.json()["detail"] for answer in errors}
    if version:  # without it, the path is another one
        of_v2 = [client.get(f"/v2/models/norb/versions/{named}{end}") for end in ("", "/ready", "/stats")]
        of_v2.append(client.post(f"/v2/models/norb/versions/{named}/infer", json={}))
        words |= {answer.json()["error"] for answer in of_v2}
        errors += of_v2
    assert {answer.status_code for answer in errors} == {400}
    assert words == {f"the version must be an integer from 1 to {BIG} without leading zeros, got {version[:40]!r}"}


def test_the_highest_version_answers_everywhere(client: Client) -> None:
    """It is the default too, since folders above it do not count."""
    for path in ("/predict", f"/predict?version={BIG}"):
        assert client.post_png(path, grey(1)).json()["model"] == {"name": "norb", "version": BIG}
    assert client.get(f"/models/norb?version={BIG}").json()["versions"] == [1, BIG]
    assert client.get(f"/v2/models/norb/versions/{BIG}/ready").status_code == 200


def test_refused_folders_are_listed_with_their_reason(client: Client) -> None:
    """They are in GET /models and in the index of /v2, by the names of their folders."""
    names = ["007", str(10**18), str(2**64)]
    refused = client.get("/models").json()["refused"]
    assert [row["version"] for row in refused] == names
    index = client.post("/v2/repository/index").json()
    assert [row["version"] for row in index] == ["1", str(BIG), *names]
    assert [row["state"] for row in index] == ["READY"] * 2 + ["UNAVAILABLE"] * 3
    for row in [*refused, *index[2:]]:
        assert f"from 1 to {BIG}" in row["reason"]


def test_the_documentation_has_the_bounds_of_a_version(client: Client) -> None:
    """Every parameter named version is documented as an integer from 1 to the highest version."""
    paths = client.get("/openapi.json").json()["paths"]
    found = [
        parameter["schema"]
        for operations in paths.values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "version"
    ]
    assert len(found) == 8
    for schema in found:
        integer = next(option for option in schema.get("anyOf", [schema]) if option["type"] == "integer")
        assert (integer.get("minimum"), integer.get("maximum")) == (1, HIGHEST)
