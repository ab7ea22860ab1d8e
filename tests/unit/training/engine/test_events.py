"""TensorBoard reads a run's scalars, and a full disk is an error of the step that meets it."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from matcaps.training.engine.events import EventFile
from matcaps.training.engine.logger import RunLogger
from matcaps.training.writing import WriteError
from tests.support.limits import file_limit


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a folder: step and value by name."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_reads_every_scalar(tmp_path: Path) -> None:
    """The values are those that were logged, in float32."""
    file = EventFile(tmp_path / "tensorboard", 1)
    file.log(50, loss=0.5, accuracy=0.25)
    file.log(100, loss=0.125)
    assert scalars(tmp_path / "tensorboard") == {"loss": [(50, 0.5), (100, 0.125)], "accuracy": [(50, 0.25)]}


def test_steps_that_are_taken_again_count_once(tmp_path: Path) -> None:
    """A later file replaces the entries of earlier files from its first step on."""
    first = EventFile(tmp_path, 1)
    for step in (50, 100, 150):
        first.log(step, loss=1.0)
    EventFile(tmp_path, 101).log(150, loss=2.0)
    assert scalars(tmp_path) == {"loss": [(50, 1.0), (100, 1.0), (150, 2.0)]}


def test_scalars_that_do_not_fit_are_an_error_with_the_file(tmp_path: Path) -> None:
    """The log and the scalars keep whole entries; no thread prints a traceback."""
    with RunLogger(tmp_path, 100, 0, active=True) as logger:
        logger.log(1, loss=0.5)
        (file,) = (tmp_path / "tensorboard").iterdir()
        size = file.stat().st_size
        with file_limit(size + 10), pytest.raises(WriteError, match=rf"cannot write {file}: File too large; "):
            logger.log(2, loss=0.25)
        assert file.stat().st_size == size
    assert scalars(tmp_path / "tensorboard") == {"loss": [(1, 0.5)]}
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_file_that_cannot_be_begun_is_an_error(tmp_path: Path) -> None:
    """The error says where a folder was expected."""
    (tmp_path / "tensorboard").touch()
    with pytest.raises(WriteError, match=f"expected a folder at {tmp_path / 'tensorboard'}, found a file"):
        EventFile(tmp_path / "tensorboard", 1)
