"""The index of models, and loading and unloading by a request."""

from pathlib import Path

import pytest

from tests.support.doubles import Client, FakeSession, serve


def test_models_are_listed_loaded_and_unloaded(client: Client) -> None:
    """The index says what serves, and why the rest does not."""
    rows = client.post("/v2/repository/index").json()
    assert [(row["name"], row["version"], row["state"]) for row in rows] == [
        ("norb", "1", "READY"),
        ("norb", "2", "READY"),
        ("stereo", "1", "READY"),
    ]
    assert client.post("/v2/repository/models/stereo/unload").status_code == 200
    assert client.get("/v2/models/stereo/ready").status_code == 404
    *_, row = client.post("/v2/repository/index").json()
    assert row == {"name": "stereo", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert [row["name"] for row in ready] == ["norb", "norb"]
    assert client.post("/v2/repository/models/stereo/load").status_code == 200
    assert client.get("/v2/models/stereo/ready").status_code == 200
    assert client.post("/v2/repository/models/cat/load").status_code == 404
    assert client.post("/v2/repository/models/cat/unload").status_code == 404


def test_loading_is_forbidden_unless_it_is_set(tmp_path: Path) -> None:
    """The error names the setting."""
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        for what in ("load", "unload"):
            answer = client.post(f"/v2/repository/models/norb/{what}")
            assert answer.status_code == 403
            assert "MATCAPS_MODEL_CONTROL" in answer.json()["error"]
        assert client.get("/v2/models/norb/ready").status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}'])
def test_a_wrong_body_of_the_index_is_refused(client: Client, body: bytes) -> None:
    """It must be an object, and ready a boolean."""
    answer = client.post("/v2/repository/index", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
