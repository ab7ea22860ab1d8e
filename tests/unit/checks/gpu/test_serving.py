"""The check for machines with a GPU, rehearsed on a CPU: it passes what is right, and names what is wrong."""

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
    check_server,
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
    """Answers that are wrong by so much."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self._error = np.float32(error)

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        return {name: values + self._error for name, values in super().run(images, outputs).items()}


def test_a_rehearsal_passes(path: Path) -> None:
    """On the CPU every way answers what the CPU answers, and each bucket has its figures."""
    wrong: list[str] = []
    figures = check_model(path, [(PLAIN, 0), (GRAPHS, 0)], opener_of(path, "cpu", 3), OPTIONS, wrong)
    assert wrong == []
    assert [row.batch for row in figures] == [1, 2, 3]
    assert all(row.errors[way] <= 1e-6 and row.times_ms[way] > 0 for row in figures for way in (PLAIN, GRAPHS))
    lines = table(figures).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_what_is_off_is_named(path: Path, error: float) -> None:
    """An error above the bound is named with its way, GPU and batch, unless the way is TF32, which is only reported."""

    def open_off(way: Way, gpu: int) -> Session:
        return Off(error if gpu == 1 or way is TF32 else 0.0)

    wrong: list[str] = []
    figures = check_model(path, [(PLAIN, 0), (PLAIN, 1), (TF32, 0)], open_off, OPTIONS, wrong)
    assert [line.partition(": off by ")[0] for line in wrong] == [f"m/1, plain, GPU 1, batch {n}" for n in (1, 2, 3)]
    assert not figures[0].errors[PLAIN] <= 1e-4
    assert not figures[0].errors[TF32] <= 1e-4


def test_what_fails_is_named(path: Path) -> None:
    """A way that cannot be opened is named, and the others are still checked."""

    def fail_with_graphs(way: Way, gpu: int) -> Session:
        if way.graphs:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        return Off(0.0)

    wrong: list[str] = []
    figures = check_model(path, [(GRAPHS, 0), (PLAIN, 0)], fail_with_graphs, OPTIONS, wrong)
    assert wrong == ["m/1, CUDA graphs, GPU 0: operation not permitted when stream is capturing"]
    assert "–" in table(figures)
    assert PLAIN in figures[0].errors


def test_errors_are_as_the_contract_measures_them() -> None:
    """Activations count as they are; poses in units of their largest element where that is above 1."""
    truth = {"activations": np.zeros(2, np.float32), "poses": np.array([50, 0], np.float32)}
    assert largest_error({**truth, "activations": np.array([0, 0.5], np.float32)}, truth) == 0.5
    assert largest_error({**truth, "poses": np.array([50, 5], np.float32)}, truth) == pytest.approx(0.1)
    assert largest_error({**truth, "poses": np.zeros(3, np.float32)}, truth) == float("inf")


def test_batches_fill_buckets_and_miss_them() -> None:
    """Every bucket is filled, and missed by one, by each of four kinds of images."""
    found = list(batches(8, (1, 4, 4)))
    assert sorted({len(images) for images in found}) == [1, 2, 3, 4, 7, 8]
    assert len(found) == 24
    assert all(images.dtype == np.uint8 and images.shape[1:] == (1, 4, 4) for images in found)


def test_the_newest_version_is_checked(tmp_path: Path) -> None:
    """The highest version of each model is checked, and no folder that is no version."""
    for version in (2, 10, "draft"):
        write_model(tmp_path, "m", version)
    write_model(tmp_path, "n", 1, make_model())
    assert newest(tmp_path) == [tmp_path / "m" / "10" / "model.onnx", tmp_path / "n" / "1" / "model.onnx"]


def test_the_server_is_asked(path: Path) -> None:
    """A real server starts, answers the example pictures as on the CPU, and stops; one that cannot start is named."""
    wrong: list[str] = []
    assert "3 answers on the CPU" in check_server("cpu", [path], wrong)
    assert wrong == []
    path.write_bytes(b"no model")
    assert check_server("cpu", [path], wrong) == "failed"
    assert "ended with status 1" in wrong[0]
    assert "no model 'm'" in wrong[0]


def test_without_a_gpu(tmp_path: Path) -> None:
    """Where there is no GPU, or no model, the check ends with one line."""
    for arguments, reason in (([], "CUDA"), (["--device", "cpu", "--models", str(tmp_path)], "no model in")):
        with pytest.raises(SystemExit, match=f"^scripts/check-gpu: .*{reason}.*$"):
            main(arguments)
