"""``matcaps push`` against a stand-in of the Hub's API: what it uploads, and why it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from matcaps import __version__
from matcaps.cli import main
from matcaps.model import CapsNet, tiny
from tests.support.hub import Hub, Repository, connected_hub

# huggingface_hub 2.4 uploads to LFS in a way that its own HTTP library does not want.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, without repositories."""
    with connected_hub(tmp_path, monkeypatch) as hub:
        yield hub


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The folder of a released version, net/3. Its graph is none, because it is only uploaded."""
    folder = tmp_path / "models" / "net" / "3"
    CapsNet(tiny()).save_pretrained(folder)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "README.md").write_text("---\nlibrary_name: matcaps\n---\n# net/3\n")
    (folder / "notes.txt").write_text("mine")
    return folder


def push(*arguments: str | Path) -> int:
    """The exit status of ``matcaps push``."""
    return main(["push", *map(str, arguments)])


def assert_same(network: CapsNet, folder: Path) -> None:
    """A network has the configuration and, bit for bit, the weights of a folder."""
    expected = CapsNet.from_pretrained(folder)
    assert network.config == expected.config
    ours, theirs = network.state_dict(), expected.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_pushed_model_is_loaded_with_the_same_bits(
    hub: Hub, released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of the release are uploaded in one commit, and no others; the address is printed."""
    assert push(released, "ada/net") == 0
    assert capsys.readouterr().out == f"net/3 is at {hub.url}/ada/net\n"
    repository = hub.repositories["ada/net"]
    assert not repository.private
    assert len(repository.commits) == 2
    assert repository.messages[1] == f"Upload net/3 with matcaps {__version__}"
    sent = {name: content for name, content in repository.commits[repository.branches["main"]].items() if content}
    assert sent == {path.name: path.read_bytes() for path in released.iterdir() if path.name != "notes.txt"}
    assert_same(CapsNet.from_pretrained("ada/net"), released)


def test_a_branch_of_a_private_repository(hub: Hub, released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The branch and the repository are made, and the main branch stays as it was."""
    assert push(released, "ada/net", "--private", "--revision", "trial", "--message", "First") == 0
    assert capsys.readouterr().out == f"net/3 is at {hub.url}/ada/net/tree/trial\n"
    repository = hub.repositories["ada/net"]
    assert (repository.private, repository.messages[1]) == (True, "First")
    assert_same(CapsNet.from_pretrained("ada/net", revision="trial"), released)
    with pytest.raises(FileNotFoundError, match="ada/net on the Hub lacks"):
        CapsNet.from_pretrained("ada/net")


def test_other_weights_take_the_place_of_all_earlier_ones(
    hub: Hub, released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph of the earlier weights is deleted; the card stays, with a line that says that none came."""
    assert push(released, "ada/net") == 0
    other = tmp_path / "other"
    CapsNet(tiny()).save_pretrained(other)
    assert push(other, "ada/net") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1] == f"other is at {hub.url}/ada/net"
    assert f"matcaps push: {other} has no model card README.md, so none was uploaded\n" in captured.err
    repository = hub.repositories["ada/net"]
    files = repository.commits[repository.branches["main"]]
    assert sorted(files) == [".gitattributes", "README.md", "config.json", "model.safetensors"]
    assert_same(CapsNet.from_pretrained("ada/net"), other)


def test_a_second_push_of_the_same_files_changes_nothing(hub: Hub, released: Path) -> None:
    """No commit is added, and no large file is sent again."""
    assert push(released, "ada/net") == 0
    hub.requests.clear()
    assert push(released, "ada/net") == 0
    assert len(hub.repositories["ada/net"].commits) == 2
    assert not any(request.startswith("PUT") for request in hub.requests)


def test_the_folder_of_a_model_is_pushed_in_its_highest_version(
    hub: Hub, released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for ``from_pretrained``."""
    assert push(released.parent, "ada/net") == 0
    assert capsys.readouterr().out == f"net/3 is at {hub.url}/ada/net\n"


def test_what_must_be_private_does_not_go_into_a_public_repository(
    hub: Hub, released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Hub leaves an existing repository as visible as it is, so nothing is uploaded."""
    hub.repositories["ada/net"] = Repository()
    hub.repositories["ada/net"].commit("main", {})
    assert push(released, "ada/net", "--private") == 1
    expected = f"matcaps: ada/net exists and is public; make it private at {hub.url}/ada/net/settings first\n"
    assert capsys.readouterr().err == expected
    assert len(hub.repositories["ada/net"].commits) == 1


@pytest.mark.parametrize(
    ("token", "repository", "failing", "words"),
    [
        ("hf_old", "ada/net", "", "does not accept the token (401: Invalid credentials in Authorization header); `hf"),
        ("hf_ada", "bob/net", "", "bob/net: the token does not permit this (403: You don't have the rights to create"),
        ("hf_ada", "ada/net", "POST /api/models/ada/net/preupload", "the Hub at http://127.0.0.1:"),
        ("hf_ada", "ada/net", "PUT /lfs", "the Hub at http://127.0.0.1:"),
    ],
)
def test_a_refusal_is_one_line_that_says_why(
    hub: Hub,
    released: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    repository: str,
    failing: str,
    words: str,
) -> None:
    """A token that is not accepted or does not permit it, and failures of the Hub and of its store."""
    monkeypatch.setenv("HF_TOKEN", token)
    if failing:
        hub.failing[failing] = (418, "Not now")
    assert push(released, repository) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"matcaps: {repository}: ")
    assert words in line
    assert not failing or line.endswith("answered 418: Not now")
    assert all(len(found.commits) == 1 for found in hub.repositories.values())


def test_without_a_token_nothing_is_asked(
    hub: Hub, released: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says how to get one; there is no option for it, because other users see a command line."""
    monkeypatch.delenv("HF_TOKEN")
    assert push(released, "ada/net") == 1
    expected = "there is no token for the Hub; `hf auth login` stores a token, and the variable HF_TOKEN may hold one"
    assert capsys.readouterr().err == f"matcaps: {expected}\n"
    assert hub.requests == []
    (released.parents[2] / "token").write_text(hub.token)  # what `hf auth login` writes
    assert push(released, "ada/net") == 0


def test_an_unreachable_hub_is_one_line(
    hub: Hub, released: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has the address that was tried."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    assert push(released, "ada/net") == 1
    assert "matcaps: ada/net: the Hub cannot be reached at http://127.0.0.1:1: " in capsys.readouterr().err


def test_what_is_no_released_model_is_not_pushed(
    hub: Hub, released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without weights or with damaged ones, an unknown name, and a name that is no repository's."""
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "damaged"
    CapsNet(tiny()).save_pretrained(damaged)
    (damaged / "model.safetensors").write_bytes(b"cut")
    for source, repository, words in (
        (tmp_path / "empty", "ada/net", "empty lacks config.json and model.safetensors; expected the folder of a"),
        (damaged, "ada/net", "model.safetensors cannot be read as safetensors"),
        ("nett", "ada/net", "no folder and no released model 'nett'; the models are"),
        ("bob/net", "ada/net", "there is no folder bob/net; expected the folder of a released version"),
        (released, "net", "expected the name of a repository, user/repo, got 'net'"),
        (released, "a/b/c", "expected the name of a repository, user/repo, got 'a/b/c'"),
        (released, "ada/net--1", "'ada/net--1'"),
    ):
        assert push(source, repository) == 1
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert hub.requests == []
