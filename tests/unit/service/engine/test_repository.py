"""The folder of models: what is loaded, what is refused, and which version answers."""

import gc
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from matcaps.service.backends.open import open_session
from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.model_version import ModelRef, ModelVersion
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.repository import Repository
from matcaps.service.engine.statistics import Statistics
from matcaps.service.errors import NotFoundError, NotReadyError, RefusedModelError, StartError
from tests.support.doubles import make_model, write_model


def load(name: str, version: int, path: Path) -> ModelVersion:
    session = open_session(path, "cpu", threads=1)
    batcher = Batcher(session, Queue(max_batch=2, max_wait_s=0.0, max_waiting=2))
    return ModelVersion(name, version, session.metadata, session.provider, [batcher], Statistics())


def names(repository: Repository) -> list[str]:
    """The models that are loaded."""
    return sorted({version.name for version in repository.index().loaded})


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """A repository of norb/1 and norb/2 in the test's folder."""
    for version in (1, 2):
        write_model(tmp_path, "norb", version)
    repository = Repository(tmp_path, "norb", load)
    yield repository
    repository.close()


def overwrite(path: Path, model: onnx.ModelProto | bytes) -> None:
    """Replace a model file in one step, as a rollout should."""
    new = path.with_suffix(".new")
    new.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    new.replace(path)


def test_the_highest_version_answers(tmp_path: Path) -> None:
    """Versions are compared as numbers; by default the default model answers."""
    for name, version in (("norb", 2), ("norb", 9), ("norb", 10), ("mnist", 1)):
        write_model(tmp_path, name, version)
    repository = Repository(tmp_path, "norb", load)
    for asked, found in (
        (ModelRef(), ("norb", 10)),
        (ModelRef("norb", 2), ("norb", 2)),
        (ModelRef("mnist"), ("mnist", 1)),
    ):
        answers = repository.find(asked)
        assert (answers.name, answers.version) == found
    assert names(repository) == ["mnist", "norb"]
    assert repository.index().versions("norb") == [2, 9, 10]
    repository.close()


def test_an_unknown_model_or_version_is_refused(repository: Repository) -> None:
    """The error lists those that there are."""
    with pytest.raises(NotFoundError, match="no model 'cat'; there are norb"):
        repository.find(ModelRef("cat"))
    with pytest.raises(NotFoundError, match="no version 3; there are 1, 2"):
        repository.find(ModelRef("norb", 3))


def test_broken_files_do_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each is refused with its reason in the log, and the sound version serves."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", 2, b"not an ONNX file")
    write_model(tmp_path, "norb", 3, make_model(properties={"matcaps.classes": None}))
    write_model(tmp_path, "norb", 4, make_model(drop_outputs=["poses"]))
    write_model(tmp_path, "norb", 5, make_model(scale=float("nan")))
    failed = []
    repository = Repository(tmp_path, "norb", load, failed=lambda name, version: failed.append((name, version)))
    assert repository.index().versions("norb") == [1]
    assert (
        failed
        == [(name, version) for name, version, _ in repository.index().refused]
        == [("norb", n) for n in range(2, 6)]
    )
    repository.close()
    for reason in ("norb/2: not an ONNX", "norb/3: metadata lacks", "norb/4: the graph lacks", "norb/5: output"):
        assert reason in caplog.text


@pytest.mark.parametrize(
    "version",
    ["0", "-1", "+1", "01", "1.0", "v2", "latest", "²", "１", "1" + "0" * 18, str(2**64), "9" * 255],
)
def test_versions_are_positive_integers(tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """A folder with another name is not served; the log says so once."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", version)
    repository = Repository(tmp_path, "norb", load)
    repository.refresh()
    assert repository.index().versions("norb") == [1]
    ((name, refused, reason),) = repository.index().refused
    assert (name, refused) == ("norb", version)
    assert "from 1 to 999999999999999999" in reason
    repository.load("norb")  # the sound version is all that it needs
    repository.close()
    assert caplog.text.count("a version is a positive integer") == 1


def test_the_highest_version_is_served(tmp_path: Path) -> None:
    """It has 18 digits."""
    write_model(tmp_path, "norb", "9" * 18)
    repository = Repository(tmp_path, "norb", load)
    assert repository.index().versions("norb") == [10**18 - 1]
    repository.close()


def test_a_folder_that_is_renamed_is_served(tmp_path: Path) -> None:
    """Its reason goes, and a hidden folder has none: a release is written there before it appears."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "norb", ".draft-1")
    write_model(tmp_path, "norb", "draft")
    repository = Repository(tmp_path, "norb", load)
    assert [version for _, version, _ in repository.index().refused] == ["draft"]
    (tmp_path / "norb" / "draft").rename(tmp_path / "norb" / "2")
    repository.refresh()
    assert (repository.index().refused, repository.index().versions("norb")) == ([], [1, 2])
    repository.close()


def test_loading_a_model_without_a_valid_version_says_why(tmp_path: Path) -> None:
    """Its only folder is above the limit."""
    write_model(tmp_path, "norb", 1)
    write_model(tmp_path, "cat", 10**18)
    repository = Repository(tmp_path, "norb", load)
    with pytest.raises(RefusedModelError, match="version 1000000000000000000: a version is a positive integer"):
        repository.load("cat")
    repository.close()


def test_a_missing_folder_is_an_error_at_start(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(StartError, match=r"there is no folder of models at .*nowhere"):
        Repository(tmp_path / "nowhere", "norb", load)


def test_a_folder_without_models_is_an_error_at_start(tmp_path: Path) -> None:
    """The error says that no model was found."""
    with pytest.raises(StartError, match="found: none"):
        Repository(tmp_path, "norb", load)


def test_a_missing_default_model_is_an_error_at_start(tmp_path: Path) -> None:
    """The error names the models that were found."""
    write_model(tmp_path, "mnist", 1)
    with pytest.raises(StartError, match=r"no model 'norb'.*found: mnist.*MATCAPS_DEFAULT_MODEL"):
        Repository(tmp_path, "norb", load)


def test_other_files_are_ignored(tmp_path: Path) -> None:
    """Only NAME/VERSION/model.onnx is a model."""
    write_model(tmp_path, "norb", 1)
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "norb" / "notes.txt").write_text("notes")
    repository = Repository(tmp_path, "norb", load)
    assert [(version.name, version.version) for version in repository.index().loaded] == [("norb", 1)]
    repository.close()


def test_a_new_version_takes_over(repository: Repository, tmp_path: Path) -> None:
    """A refresh loads a version that is new in the folder, and drops one that is gone."""
    write_model(tmp_path, "norb", 3)
    write_model(tmp_path, "mnist", 1)
    assert repository.find(ModelRef()).version == 2
    repository.refresh()
    assert repository.find(ModelRef()).version == 3
    assert names(repository) == ["mnist", "norb"]
    shutil.rmtree(tmp_path / "norb" / "3")
    shutil.rmtree(tmp_path / "mnist")
    repository.refresh()
    assert repository.find(ModelRef()).version == 2
    assert names(repository) == ["norb"]


def test_a_refresh_leaves_unchanged_files_alone(repository: Repository) -> None:
    """Nothing is loaded again."""
    before = repository.index()
    repository.refresh()
    assert repository.index() == before


def test_a_changed_file_replaces_the_old_version(repository: Repository, tmp_path: Path) -> None:
    """Requests that hold the old version end with it; its threads end with the last of them."""
    old = repository.acquire(ModelRef("norb", 1))
    overwrite(tmp_path / "norb" / "1" / "model.onnx", make_model(scale=0.5))
    repository.refresh()
    new = repository.acquire(ModelRef("norb", 1))
    assert new is not old
    new.release()
    assert not old.acquire()
    assert not old.stopped
    old.release()
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
    """The old version still serves, and the reason is kept until there is a sound file."""
    path = tmp_path / "norb" / "2" / "model.onnx"
    before = repository.find(ModelRef())
    overwrite(path, broken)
    for _ in range(2):
        repository.refresh()
        assert repository.find(ModelRef()) is before
        ((name, version, found),) = repository.index().refused
        assert (name, version) == ("norb", 2)
        assert reason in found
    overwrite(path, make_model())
    repository.refresh()
    assert repository.index().refused == []
    assert repository.find(ModelRef()) is not before


def test_a_failing_device_is_an_error_only_at_start(tmp_path: Path) -> None:
    """Later the file is refused, the loaded versions serve, and other files are loaded."""
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
    assert repository.find(ModelRef()).version == 1
    assert repository.index().refused == [("norb", 2, "the GPU's memory is full")]
    assert names(repository) == ["norb", "other"]
    repository.close()
    with pytest.raises(StartError, match="memory is full"):
        Repository(tmp_path, "norb", load_until_full)


def test_a_folder_that_cannot_be_read_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    """A disk may be away for a moment."""
    tmp_path.rename(tmp_path.with_name("away"))
    repository.refresh()
    assert repository.index().versions("norb") == [1, 2]
    tmp_path.with_name("away").rename(tmp_path)


def test_an_unloaded_model_stays_unloaded_until_it_is_loaded(repository: Repository) -> None:
    """A refresh does not load it."""
    assert repository.ready
    repository.unload("norb")
    repository.refresh()
    assert not repository.ready
    assert repository.index().unloaded == [("norb", 1), ("norb", 2)]
    with pytest.raises(NotFoundError, match="no model 'norb'"):
        repository.unload("norb")
    repository.load("norb")
    assert repository.index().versions("norb") == [1, 2]
    assert repository.index().unloaded == []


def test_loading_again_reads_the_files_again(repository: Repository) -> None:
    """Also if they have not changed."""
    before = repository.find(ModelRef())
    repository.load("norb")
    assert repository.find(ModelRef()) is not before
    assert before.stopped


def test_loading_drops_versions_whose_files_are_gone(repository: Repository, tmp_path: Path) -> None:
    """Loaded and refused ones alike."""
    write_model(tmp_path, "norb", 3, b"broken")
    repository.refresh()
    assert [version for _, version, _ in repository.index().refused] == [3]
    for version in (2, 3):
        shutil.rmtree(tmp_path / "norb" / str(version))
    repository.load("norb")
    assert repository.index().versions("norb") == [1]
    assert repository.index().refused == []


def test_a_model_that_cannot_be_loaded_is_an_error(repository: Repository, tmp_path: Path) -> None:
    """The error says that there is no file, or what is wrong with the file."""
    with pytest.raises(NotFoundError, match="there is no file"):
        repository.load("cat")
    write_model(tmp_path, "cat", 7, b"broken")
    with pytest.raises(RefusedModelError, match="version 7: not an ONNX file"):
        repository.load("cat")


def test_a_model_may_be_loaded_in_part(repository: Repository, tmp_path: Path) -> None:
    """Its sound versions serve, and the error names the others."""
    write_model(tmp_path, "norb", 3, b"broken")
    with pytest.raises(RefusedModelError, match=r"version 3: not an ONNX file.*; loaded: 1, 2"):
        repository.load("norb")
    assert repository.index().versions("norb") == [1, 2]


def test_a_retired_version_cannot_be_acquired(repository: Repository) -> None:
    """If there is no newer one, the service is draining."""
    repository.find(ModelRef()).retire()
    with pytest.raises(NotReadyError):
        repository.acquire(ModelRef())


def test_a_replaced_version_is_freed_without_the_collector(tmp_path: Path) -> None:
    """It is in no cycle, because the collector never looks at what a service loads at its start."""
    path = write_model(tmp_path, "norb", 1)
    batchers: list[Batcher] = []

    def load_and_note(name: str, version: int, path: Path) -> ModelVersion:
        session = open_session(path, "cpu", threads=1)
        batchers.append(Batcher(session, Queue(max_batch=2, max_wait_s=0.0, max_waiting=2)))
        return ModelVersion(name, version, session.metadata, session.provider, [batchers[-1]], Statistics())

    repository = Repository(tmp_path, "norb", load_and_note)
    freed: list[weakref.ref[Any]] = [weakref.ref(repository.find(ModelRef())), weakref.ref(batchers[0])]
    gc.collect()
    gc.disable()
    try:
        overwrite(path, make_model(channels=2))
        repository.refresh()
        batchers.pop(0).join()
        assert [reference() for reference in freed] == [None, None]
    finally:
        gc.enable()
        repository.close()
