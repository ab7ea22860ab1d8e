"""Networks from repositories of the Hub: ``from_pretrained("user/repo")`` against a stand-in of the Hub's API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet, tiny
from tests.support.hub import Files, Hub, Repository, connected_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, with the repository ada/net; the cache is empty."""
    with connected_hub(tmp_path, monkeypatch) as hub:
        hub.repositories["ada/net"] = repository = Repository()
        repository.commit("main", files_of(network(1), tmp_path))
        yield hub


def network(mark: float) -> CapsNet:
    """A network whose class layer has this offset."""
    network = CapsNet(tiny()).eval()
    torch.nn.init.constant_(network.class_caps.beta_a, mark)
    return network


def files_of(network: CapsNet, folder: Path) -> Files:
    """The files that ``save_pretrained`` writes, and one that no network needs."""
    network.save_pretrained(folder / "saved")
    return {"notes.bin": b"x" * 99, **{path.name: path.read_bytes() for path in (folder / "saved").iterdir()}}


def mark_of(source: str, revision: str | None = None) -> float:
    """The offset of a network."""
    return float(CapsNet.from_pretrained(source, revision=revision).class_caps.beta_a[0].detach())


def test_only_the_two_files_of_a_network_are_downloaded_and_only_once(hub: Hub) -> None:
    """The second time the cache has them, and only the newest commit and its list of files may be asked for."""
    assert mark_of("ada/net") == 1
    fetched = [request for request in hub.requests if request.startswith("GET") and "/api/" not in request]
    assert len(fetched) == 2
    assert not any("notes.bin" in request for request in hub.requests)
    hub.requests.clear()
    assert mark_of("ada/net") == 1
    assert hub.requests[0] == "GET /api/models/ada/net/revision/main"
    assert all("/api/" in request for request in hub.requests)


def test_a_revision_is_a_branch_or_a_commit(hub: Hub, tmp_path: Path) -> None:
    """Without one the newest commit of the main branch counts."""
    repository = hub.repositories["ada/net"]
    first = repository.branches["main"]
    repository.commit("main", files_of(network(2), tmp_path))
    repository.commit("trial", files_of(network(3), tmp_path))
    assert [mark_of("ada/net", revision) for revision in (None, "trial", first)] == [2, 3, 1]
    with pytest.raises(FileNotFoundError) as raised:
        CapsNet.from_pretrained("ada/net", revision="nothing")
    assert str(raised.value) == "ada/net has no revision 'nothing'; expected a branch, a tag or a commit"


def test_a_repository_without_a_network_is_named(hub: Hub) -> None:
    """The error names the files that the repository lacks."""
    repository = hub.repositories["ada/net"]
    repository.commit("main", {"config.json": b"{}"})
    with pytest.raises(FileNotFoundError) as raised:
        CapsNet.from_pretrained("ada/net")
    assert str(raised.value) == "ada/net on the Hub lacks model.safetensors; matcaps push uploads them"


def test_a_configuration_from_the_hub_is_read_strictly(hub: Hub, tmp_path: Path) -> None:
    """A field that is unknown is an error, as in a local folder."""
    files = files_of(network(1), tmp_path)
    files["config.json"] = files["config.json"].replace(b'"channels"', b'"depth": 1, "channels"')
    hub.repositories["ada/net"].commit("main", files)
    with pytest.raises(ValueError, match=r"config\.json has the unknown network\.depth"):
        CapsNet.from_pretrained("ada/net")


def test_a_private_repository_needs_its_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it is not there; with one the store of large files does not learn the token."""
    hub.repositories["ada/net"].private = True
    assert mark_of("ada/net") == 1
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=r"no repository ada/net, or it is private \(401\); for a private one"):
        CapsNet.from_pretrained("ada/net")


@pytest.mark.parametrize(
    ("token", "failing", "kind", "words"),
    [
        ("hf_ada", None, FileNotFoundError, "has no repository ada/other, or it is private (404)"),
        ("hf_old", None, PermissionError, "does not accept the token (401: Invalid credentials in Authorization"),
        (
            "hf_ada",
            (403, "Needs a role"),
            PermissionError,
            "ada/other: the token does not permit this (403: Needs a role",
        ),
        ("hf_ada", (503, "Maintenance"), OSError, "answered 503: Maintenance"),
    ],
)
def test_a_refusal_is_one_line_that_says_why(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    failing: tuple[int, str] | None,
    kind: type[OSError],
    words: str,
) -> None:
    """A repository that is not there, a token that is not accepted, no permission, and a failure of the Hub."""
    monkeypatch.setenv("HF_TOKEN", token)
    if failing:
        hub.failing["GET /api/models/ada/other"] = failing
    with pytest.raises(OSError, match="ada/other") as raised:
        CapsNet.from_pretrained("ada/other")
    assert type(raised.value) is kind
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_gated_repository_says_where_to_ask(hub: Hub) -> None:
    """The error has the address of the repository."""
    hub.failing["GET /api/models/ada/net"] = (403, "GatedRepo")
    with pytest.raises(PermissionError, match=f"ada/net is gated: ask for access at {hub.url}/ada/net"):
        CapsNet.from_pretrained("ada/net")


def test_without_a_network_the_cache_answers_and_nothing_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that was never downloaded is one line that names the Hub."""
    assert mark_of("ada/net") == 1
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    assert mark_of("ada/net") == 1
    with pytest.raises(
        ConnectionError, match=r"ada/other: the Hub cannot be reached at http://127\.0\.0\.1:1: .*refus"
    ):
        CapsNet.from_pretrained("ada/other")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="ada/other is not in the cache, and HF_HUB_OFFLINE forbids"):
        CapsNet.from_pretrained("ada/other")


def test_a_local_folder_and_a_name_ask_nothing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a folder that has the name of a repository is looked for at the Hub."""
    monkeypatch.chdir(tmp_path)
    network(4).save_pretrained(tmp_path / "ada" / "net")
    assert mark_of("ada/net") == 4
    CapsNet.from_pretrained("mnist")
    assert hub.requests == []
