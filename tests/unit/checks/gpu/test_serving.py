"""The check of serving on a GPU, rehearsed on a CPU."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from checks.gpu.serving import (
    GRAPHS,
    PLAIN,
    TF32,
    Way,
    batches,
    check_model,
    largest_error,
    main,
    newest,
    opener_of,
    table,
)
from matcaps.service.backends.session import Arrays, Session
from tests.support.doubles import FakeSession, make_model, write_model

OPTIONS = Namespace(max_batch=3, seconds=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path, "m", 1)


class Off(FakeSession):
    """A session whose answers are off by a constant."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self._error = np.float32(error)

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        return {name: values + self._error for name, values in super().run(images, outputs).items()}


def test_a_right_network_passes_the_check(path: Path) -> None:
    """Every way gives the CPU's answers, and each batch size has its figures."""
    wrong: list[str] = []
    figures = check_model(path, [(PLAIN, 0), (GRAPHS, 0)], opener_of(path, "cpu", 3), OPTIONS, wrong)
    assert wrong == []
    assert [row.batch for row in figures] == [1, 2, 3]
    assert all(row.errors[way] <= 1e-6 and row.times_ms[way] > 0 for row in figures for way in (PLAIN, GRAPHS))
    lines = table(figures).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_an_error_above_the_bound_is_named(path: Path, error: float) -> None:
    """With its way, GPU and batch; the error of TF32 is reported only."""

    def open_off(way: Way, gpu: int) -> Session:
        return Off(error if gpu == 1 or way is TF32 else 0.0)

    wrong: list[str] = []
    figures = check_model(path, [(PLAIN, 0), (PLAIN, 1), (TF32, 0)], open_off, OPTIONS, wrong)
    assert [line.partition(": error at most ")[0] for line in wrong] == [
        f"m/1, plain, GPU 1, batch {n}" for n in (1, 2, 3)
    ]
    assert not figures[0].errors[PLAIN] <= 1e-4
    assert not figures[0].errors[TF32] <= 1e-4


def test_a_way_that_fails_is_named(path: Path) -> None:
    """The other ways are still checked."""

    def fail_with_graphs(way: Way, gpu: int) -> Session:
        if way.graphs:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        return Off(0.0)

    wrong: list[str] = []
    figures = check_model(path, [(GRAPHS, 0), (PLAIN, 0)], fail_with_graphs, OPTIONS, wrong)
    assert wrong == ["m/1, CUDA graphs, GPU 0: operation not permitted when stream is capturing"]
    assert "–" in table(figures)
    assert PLAIN in figures[0].errors


def test_errors_of_poses_are_relative_to_their_largest_element() -> None:
    """Only where it is above 1; errors of activations are absolute."""
    truth = {"activations": np.zeros(2, np.float32), "poses": np.array([50, 0], np.float32)}
    assert largest_error({**truth, "activations": np.array([0, 0.5], np.float32)}, truth) == 0.5
    assert largest_error({**truth, "poses": np.array([50, 5], np.float32)}, truth) == pytest.approx(0.1)
    assert largest_error({**truth, "poses": np.zeros(3, np.float32)}, truth) == float("inf")


def test_batches_fill_buckets_and_miss_them_by_one() -> None:
    """With each of four kinds of images."""
    found = list(batches(8, (1, 4, 4)))
    assert sorted({len(images) for images in found}) == [1, 2, 3, 4, 7, 8]
    assert len(found) == 24
    assert all(images.dtype == np.uint8 and images.shape[1:] == (1, 4, 4) for images in found)


def test_the_highest_version_of_each_model_is_checked(tmp_path: Path) -> None:
    """A folder whose name is not a number is not a version."""
    for version in (2, 10, "draft"):
        write_model(tmp_path, "m", version)
    write_model(tmp_path, "n", 1, make_model())
    assert newest(tmp_path) == [tmp_path / "m" / "10" / "model.onnx", tmp_path / "n" / "1" / "model.onnx"]


def test_the_check_without_a_gpu_or_a_model_ends_with_one_line(tmp_path: Path) -> None:
    """The line says what is missing."""
    for arguments, reason in (([], "CUDA"), (["--device", "cpu", "--models", str(tmp_path)], "no model in")):
        with pytest.raises(SystemExit, match=f"^scripts/check-gpu: .*{reason}.*$"):
            main(arguments)
