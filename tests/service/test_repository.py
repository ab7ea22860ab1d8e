"""The folder of models: what is found, what is refused, which version answers."""

from pathlib import Path

import pytest

from service.errors import StartError, UnknownError
from service.repository import Repository
from service.session import Session, open_session
from tests.service.doubles import FakeSession, make_model, repository_of, write_model


def load(path: Path) -> Session:
    return open_session(path, "cpu", threads=1)


def test_the_highest_version_answers(tmp_path: Path) -> None:
    """The default model answers in its highest version by number, not by spelling, unless one is named."""
    sessions = {name: FakeSession() for name in ("norb/2", "norb/9", "norb/10", "mnist/1")}
    repository = repository_of(tmp_path, sessions, "norb")
    assert repository.find() == ("norb", 10, sessions["norb/10"])
    assert repository.find("norb", 2) == ("norb", 2, sessions["norb/2"])
    assert repository.find("mnist") == ("mnist", 1, sessions["mnist/1"])


def test_what_is_not_there(tmp_path: Path) -> None:
    """An unknown name or version is refused with those that there are."""
    repository = repository_of(tmp_path, {"norb/1": FakeSession(), "norb/4": FakeSession()}, "norb")
    with pytest.raises(UnknownError, match="no model 'cat'; there are norb"):
        repository.find("cat")
    with pytest.raises(UnknownError, match="no version 3; there are 1, 4"):
        repository.find("norb", 3)


def test_broken_files_do_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken newest version is refused with its reason in the log, and the one before it serves."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", 2, b"not an ONNX file")
    write_model(tmp_path, "norb", 3, make_model(properties={"emcaps.classes": None}))
    write_model(tmp_path, "norb", 4, make_model(drop_outputs=["poses"]))
    write_model(tmp_path, "norb", 5, make_model(scale=float("nan")))
    repository = Repository(tmp_path, "norb", load)
    assert list(repository.sessions["norb"]) == [1]
    for reason in ("norb/2: not an ONNX", "norb/3: metadata lacks", "norb/4: the graph lacks", "norb/5: output"):
        assert reason in caplog.text


@pytest.mark.parametrize("version", ["0", "-1", "01", "1.0", "v2", "latest", "²"])
def test_versions_are_positive_integers(tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """A folder whose name is no positive integer is not served, and the log says so."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", version)
    assert list(Repository(tmp_path, "norb", load).sessions["norb"]) == [1]
    assert "a version is a positive integer" in caplog.text


def test_no_folder(tmp_path: Path) -> None:
    """Without a folder of models the service does not start, and says which folder it looked for."""
    with pytest.raises(StartError, match=r"there is no folder of models at .*nowhere"):
        Repository(tmp_path / "nowhere", "norb", load)


def test_no_model(tmp_path: Path) -> None:
    """A folder without a model that can be served is an error at start."""
    with pytest.raises(StartError, match="found: none"):
        Repository(tmp_path, "norb", load)


def test_no_default_model(tmp_path: Path) -> None:
    """A folder without the default model is an error at start that names what there is."""
    write_model(tmp_path, "mnist", 1)
    with pytest.raises(StartError, match=r"no model 'norb'.*found: mnist.*EMCAPS_DEFAULT_MODEL"):
        Repository(tmp_path, "norb", load)


def test_stray_files_are_no_models(tmp_path: Path) -> None:
    """Other files in the folder are left alone."""
    write_model(tmp_path, "norb", 1)
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "norb" / "notes.txt").write_text("notes")
    assert list(Repository(tmp_path, "norb", load).sessions) == ["norb"]
