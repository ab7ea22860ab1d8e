"""The folder of models: what is found, what is refused, which version answers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from matcaps.service.backends.open import open_session
from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import NotFoundError, NotReadyError, RefusedModelError, StartError
from tests.support.doubles import make_model, write_model


def load(name: str, version: int, path: Path) -> ModelVersion:
    session = open_session(path, "cpu", threads=1)
    batcher = Batcher(session, Queue(max_batch=2, max_wait_s=0.0, max_waiting=2))
    return ModelVersion(name, version, session.metadata, session.provider, [batcher], Statistics())


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """One that serves norb/1 and norb/2, in the test's folder."""
    for version in (1, 2):
        write_model(tmp_path, "norb", version)
    repository = Repository(tmp_path, "norb", load)
    yield repository
    repository.close()


def overwrite(path: Path, model: onnx.ModelProto | bytes) -> None:
    """Put another file in the place of a model's, in one step, as whoever rolls out a version should."""
    new = path.with_suffix(".new")
    new.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    new.replace(path)


def test_the_highest_version_answers(tmp_path: Path) -> None:
    """The default model answers in its highest version by number, not by spelling, unless one is named."""
    for name, version in (("norb", 2), ("norb", 9), ("norb", 10), ("mnist", 1)):
        write_model(tmp_path, name, version)
    repository = Repository(tmp_path, "norb", load)
    for asked, found in (((), ("norb", 10)), (("norb", 2), ("norb", 2)), (("mnist",), ("mnist", 1))):
        served = repository.find(*asked)
        assert (served.name, served.version) == found
    assert repository.names == ["mnist", "norb"]
    assert repository.versions("norb") == [2, 9, 10]
    repository.close()


def test_what_is_not_there(repository: Repository) -> None:
    """An unknown name or version is refused with those that there are."""
    with pytest.raises(NotFoundError, match="no model 'cat'; there are norb"):
        repository.find("cat")
    with pytest.raises(NotFoundError, match="no version 3; there are 1, 2"):
        repository.find("norb", 3)


def test_broken_files_do_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken newest version is refused with its reason in the log, and the one before it serves."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", 2, b"not an ONNX file")
    write_model(tmp_path, "norb", 3, make_model(properties={"matcaps.classes": None}))
    write_model(tmp_path, "norb", 4, make_model(drop_outputs=["poses"]))
    write_model(tmp_path, "norb", 5, make_model(scale=float("nan")))
    failed = []
    repository = Repository(tmp_path, "norb", load, failed=lambda name, version: failed.append((name, version)))
    assert repository.versions("norb") == [1]
    assert failed == [(name, version) for name, version, _ in repository.refused] == [("norb", n) for n in range(2, 6)]
    repository.close()
    for reason in ("norb/2: not an ONNX", "norb/3: metadata lacks", "norb/4: the graph lacks", "norb/5: output"):
        assert reason in caplog.text


@pytest.mark.parametrize("version", ["0", "-1", "01", "1.0", "v2", "latest", "²"])
def test_versions_are_positive_integers(tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """A folder whose name is no positive integer is not served, and the log says so."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", version)
    repository = Repository(tmp_path, "norb", load)
    repository.refresh()
    assert repository.versions("norb") == [1]
    repository.close()
    assert caplog.text.count("a version is a positive integer") == 1


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
    with pytest.raises(StartError, match=r"no model 'norb'.*found: mnist.*MATCAPS_DEFAULT_MODEL"):
        Repository(tmp_path, "norb", load)


def test_stray_files_are_no_models(tmp_path: Path) -> None:
    """Other files in the folder are left alone."""
    write_model(tmp_path, "norb", 1)
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "norb" / "notes.txt").write_text("notes")
    repository = Repository(tmp_path, "norb", load)
    assert [(served.name, served.version) for served in repository.served] == [("norb", 1)]
    repository.close()


def test_a_new_version_takes_over(repository: Repository, tmp_path: Path) -> None:
    """A version that is laid into the folder answers from the next look on; one that is taken out does no more."""
    write_model(tmp_path, "norb", 3)
    write_model(tmp_path, "mnist", 1)
    assert repository.find().version == 2
    repository.refresh()
    assert repository.find().version == 3
    assert repository.names == ["mnist", "norb"]
    shutil.rmtree(tmp_path / "norb" / "3")
    shutil.rmtree(tmp_path / "mnist")
    repository.refresh()
    assert repository.find().version == 2
    assert repository.names == ["norb"]


def test_what_has_not_changed_is_left_alone(repository: Repository) -> None:
    """Another look at the same files loads nothing."""
    before = repository.served
    repository.refresh()
    assert repository.served == before


def test_a_changed_file_takes_the_place_of_the_old_one(repository: Repository, tmp_path: Path) -> None:
    """Requests that began with the old one end with it; its threads end with the last of them."""
    with repository.use("norb", 1) as old:
        overwrite(tmp_path / "norb" / "1" / "model.onnx", make_model(scale=0.5))
        repository.refresh()
        with repository.use("norb", 1) as new:
            assert new is not old
        assert not old.begin()
        assert not old.stopped
    assert old.stopped
    assert not new.stopped


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "not an ONNX file"),
        (make_model().SerializeToString()[:900], "not an ONNX file"),
        (make_model(drop_outputs=["poses"]), "lacks the output poses"),
        (make_model(scale=float("inf")), "not finite"),
    ],
)
def test_a_broken_file_changes_nothing(
    repository: Repository, tmp_path: Path, broken: onnx.ModelProto | bytes, reason: str
) -> None:
    """The one before it goes on serving, the reason is kept until a sound file is there, and is found once only."""
    path = tmp_path / "norb" / "2" / "model.onnx"
    before = repository.find()
    overwrite(path, broken)
    for _ in range(2):
        repository.refresh()
        assert repository.find() is before
        ((name, version, found),) = repository.refused
        assert (name, version) == ("norb", 2)
        assert reason in found
    overwrite(path, make_model())
    repository.refresh()
    assert repository.refused == []
    assert repository.find() is not before


def test_a_device_that_fails(tmp_path: Path) -> None:
    """At the start it is an error; later the file is refused, the one before it serves, and others are looked at."""
    write_model(tmp_path, "norb", 1)
    full = False

    def load_until_full(name: str, version: int, path: Path) -> ModelVersion:
        if full and name == "norb":
            raise StartError("the GPU's memory is full")
        return load(name, version, path)

    repository = Repository(tmp_path, "norb", load_until_full)
    full = True
    write_model(tmp_path, "norb", 2)
    write_model(tmp_path, "other", 1)
    repository.refresh()
    assert repository.find().version == 1
    assert repository.refused == [("norb", 2, "the GPU's memory is full")]
    assert repository.names == ["norb", "other"]
    repository.close()
    with pytest.raises(StartError, match="memory is full"):
        Repository(tmp_path, "norb", load_until_full)


def test_a_folder_that_vanishes_takes_nothing_with_it(repository: Repository, tmp_path: Path) -> None:
    """A folder that cannot be read, as when a disk is away for a moment, changes nothing."""
    tmp_path.rename(tmp_path.with_name("away"))
    repository.refresh()
    assert repository.versions("norb") == [1, 2]
    tmp_path.with_name("away").rename(tmp_path)


def test_unloading_and_loading(repository: Repository) -> None:
    """A model that is unloaded stays so, whatever the folder holds, until it is loaded."""
    assert repository.ready
    repository.unload("norb")
    repository.refresh()
    assert not repository.ready
    assert repository.unloaded == [("norb", 1), ("norb", 2)]
    with pytest.raises(NotFoundError, match="no model 'norb'"):
        repository.unload("norb")
    repository.load("norb")
    assert repository.versions("norb") == [1, 2]
    assert repository.unloaded == []


def test_loading_again_reads_the_files_again(repository: Repository) -> None:
    """Also where they have not changed."""
    before = repository.find()
    repository.load("norb")
    assert repository.find() is not before
    assert before.stopped


def test_loading_serves_what_is_left(repository: Repository, tmp_path: Path) -> None:
    """A version whose file was removed is served no more, and one that was refused is forgotten with its file."""
    write_model(tmp_path, "norb", 3, b"broken")
    repository.refresh()
    assert [version for _, version, _ in repository.refused] == [3]
    for version in (2, 3):
        shutil.rmtree(tmp_path / "norb" / str(version))
    repository.load("norb")
    assert repository.versions("norb") == [1]
    assert repository.refused == []


def test_what_cannot_be_loaded(repository: Repository, tmp_path: Path) -> None:
    """The error says that there is no file, or what is wrong with it."""
    with pytest.raises(NotFoundError, match="there is no file"):
        repository.load("cat")
    write_model(tmp_path, "cat", 7, b"broken")
    with pytest.raises(RefusedModelError, match="version 7: not an ONNX file"):
        repository.load("cat")


def test_a_model_that_loads_in_part(repository: Repository, tmp_path: Path) -> None:
    """Its sound versions serve, and the error names those that do not."""
    write_model(tmp_path, "norb", 3, b"broken")
    with pytest.raises(RefusedModelError, match=r"version 3: not an ONNX file.*; served: 1, 2"):
        repository.load("norb")
    assert repository.versions("norb") == [1, 2]


def test_a_repository_that_is_closed_lets_nobody_begin(repository: Repository) -> None:
    """Whoever comes too late hears that the service is draining."""
    repository.find().retire()
    with pytest.raises(NotReadyError), repository.use():
        pass
