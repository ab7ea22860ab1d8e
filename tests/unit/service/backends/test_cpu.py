"""Batches on the CPU: in pieces, one thread each, and a single image on all threads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from matcaps.service.backends.artefact import ASSIGNMENTS, CLASS_OUTPUTS
from matcaps.service.backends.cpu import PIECE, CpuSession
from tests.support.doubles import output_shapes, write_model

FORMAT_1 = Path(__file__).parents[3] / "data" / "format-1.onnx"


class CountingSession:
    """An onnxruntime session that notes the threads and the images of each run."""

    def __init__(self, session: Any, threads: int, runs: list[tuple[int, int]]) -> None:
        self._session, self._threads, self._runs = session, threads, runs

    def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
        self._runs.append((self._threads, len(inputs["images"])))
        return self._session.run(names, inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def counting_runtime(runs: list[tuple[int, int]]) -> Any:
    """onnxruntime with sessions that note (threads, images) of each run."""

    def open_session(path: str, options: Any, **others: Any) -> CountingSession:
        session = onnxruntime.InferenceSession(path, options, **others)
        return CountingSession(session, options.intra_op_num_threads, runs)

    return SimpleNamespace(SessionOptions=onnxruntime.SessionOptions, InferenceSession=open_session)


@pytest.mark.parametrize(
    ("threads", "images", "expected"),
    [(1, 1, [(1, 1)]), (2, 1, [(2, 1)]), (1, 9, [(1, 4), (1, 4), (1, 1)]), (2, 5, [(1, 4), (1, 1)])],
)
def test_batches_run_in_pieces_on_one_thread(
    tmp_path: Path, threads: int, images: int, expected: list[tuple[int, int]]
) -> None:
    """A single image uses all threads; a larger batch runs in pieces on one thread."""
    runs: list[tuple[int, int]] = []
    session = CpuSession(write_model(tmp_path, "m", 1), threads, counting_runtime(runs))
    assert session.workers == threads
    runs.clear()
    session.run(np.zeros((images, 1, 8, 8), np.uint8), CLASS_OUTPUTS)
    assert runs == expected


def test_an_image_beside_another_has_one_thread(tmp_path: Path) -> None:
    """An image uses all threads only if nothing else runs."""
    runs: list[tuple[int, int]] = []
    session = CpuSession(write_model(tmp_path, "m", 1), 2, counting_runtime(runs))
    black = np.zeros((1, 1, 8, 8), np.uint8)
    run = session._all_threads.run

    def run_with_another(*arguments: Any) -> Any:
        session.run(black, CLASS_OUTPUTS)
        return run(*arguments)

    session._all_threads = SimpleNamespace(run=run_with_another)
    runs.clear()
    session.run(black, CLASS_OUTPUTS)
    assert runs == [(1, 1), (2, 1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_only_those_who_ask_for_assignments_run_the_whole_graph(tmp_path: Path, threads: int) -> None:
    """Every output has the values of an ordinary run; the graph of all others does not compute assignments."""
    path = write_model(tmp_path, "m", 1)
    session = CpuSession(path, threads)
    images = np.random.default_rng(0).integers(0, 256, (PIECE + 1, 1, 8, 8), np.uint8)
    plain = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in (1, PIECE + 1):
        expected = dict(zip(output_shapes(), plain.run(list(output_shapes()), {"images": images[:size]}), strict=True))
        for names in (None, ["poses"], ["pixels", "poses"], list(ASSIGNMENTS), ["poses", ASSIGNMENTS[1]]):
            found = session.run(images[:size], names)
            assert list(found) == (names or list(output_shapes()))
            for name, values in found.items():
                np.testing.assert_allclose(values, expected[name], rtol=1e-6)
    for usual in (session._single_thread, session._all_threads):
        names = [output.name for output in usual.get_outputs()]
        assert names == [name for name in output_shapes() if name not in ASSIGNMENTS]


def test_a_file_of_format_1_is_loaded_once_per_number_of_threads() -> None:
    """It has no assignments to leave out."""
    session = CpuSession(FORMAT_1, 2)
    assert session._whole is session._single_thread


def test_rows_come_in_the_order_of_the_images(tmp_path: Path) -> None:
    """Each row equals that of its image alone, and only the requested outputs are returned."""
    session = CpuSession(write_model(tmp_path, "m", 1), 2)
    images = np.random.default_rng(0).integers(0, 256, (3 * PIECE + 1, 1, 8, 8), np.uint8)
    together = session.run(images, ["poses"])
    assert list(together) == ["poses"]
    for row, image in enumerate(images):
        np.testing.assert_array_equal(together["poses"][row], session.run(image[None])["poses"][0])
