"""Batches on the CPU: in pieces, side by side, and an image alone on all threads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from matcaps.service.backends.cpu import PIECE, CpuSession
from tests.support.doubles import write_model


class Recorded:
    """A session of onnxruntime that remembers how many images each of its runs had."""

    def __init__(self, session: Any, threads: int, runs: list[tuple[int, int]]) -> None:
        self._session, self._threads, self._runs = session, threads, runs

    def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
        self._runs.append((self._threads, len(inputs["images"])))
        return self._session.run(names, inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def recording(runs: list[tuple[int, int]]) -> Any:
    """onnxruntime, whose sessions note (threads, images) of each run."""

    def open_session(path: str, options: Any, **others: Any) -> Recorded:
        session = onnxruntime.InferenceSession(path, options, **others)
        return Recorded(session, options.intra_op_num_threads, runs)

    return SimpleNamespace(SessionOptions=onnxruntime.SessionOptions, InferenceSession=open_session)


@pytest.mark.parametrize(
    ("threads", "images", "expected"),
    [(1, 1, [(1, 1)]), (2, 1, [(2, 1)]), (1, 9, [(1, 4), (1, 4), (1, 1)]), (2, 5, [(1, 4), (1, 1)])],
)
def test_how_a_batch_is_run(tmp_path: Path, threads: int, images: int, expected: list[tuple[int, int]]) -> None:
    """One image has all threads; of several a thread runs a piece at once."""
    runs: list[tuple[int, int]] = []
    session = CpuSession(write_model(tmp_path, "m", 1), threads, recording(runs))
    assert session.workers == threads
    runs.clear()
    session.run(np.zeros((images, 1, 8, 8), np.uint8))
    assert runs == expected


def test_an_image_beside_others_has_one_thread(tmp_path: Path) -> None:
    """The threads together are for an image that runs while nothing else does."""
    runs: list[tuple[int, int]] = []
    session = CpuSession(write_model(tmp_path, "m", 1), 2, recording(runs))
    black = np.zeros((1, 1, 8, 8), np.uint8)
    run = session._together.run

    def run_with_another(*arguments: Any) -> Any:
        session.run(black)
        return run(*arguments)

    session._together = SimpleNamespace(run=run_with_another)
    runs.clear()
    session.run(black)
    assert runs == [(1, 1), (2, 1)]


def test_rows_come_in_the_order_of_the_images(tmp_path: Path) -> None:
    """Whatever the pieces, each row is what its image gets alone, of the outputs that are asked for."""
    session = CpuSession(write_model(tmp_path, "m", 1), 2)
    images = np.random.default_rng(0).integers(0, 256, (3 * PIECE + 1, 1, 8, 8), np.uint8)
    together = session.run(images, ["poses"])
    assert list(together) == ["poses"]
    for row, image in enumerate(images):
        np.testing.assert_array_equal(together["poses"][row], session.run(image[None])["poses"][0])
