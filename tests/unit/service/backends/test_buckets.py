"""Batches in buckets: real runs on buffers in CPU memory, and CUDA graphs against a test double."""

import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from matcaps.service.backends.buckets import BucketSession, bucket_sizes
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.onnx import CPU, CUDA, WarmUpError, load
from matcaps.service.errors import StartError
from tests.support.doubles import make_model, output_shapes, write_model
from tests.support.gpu import RuntimeWithGpu

MAX_BATCH = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path, "m", 1)


def session_of(path: Path, max_batch: int = MAX_BATCH, graphs: bool = False) -> BucketSession:
    return BucketSession(load(path, CPU), ("cpu", 0), max_batch=max_batch, graphs=graphs)


def pixels(images: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, 1, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("max_batch", "sizes"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_buckets_are_powers_of_two_and_the_largest_batch(max_batch: int, sizes: list[int]) -> None:
    """Buckets are powers of two, and the largest batch is the last one."""
    assert bucket_sizes(max_batch) == sizes


@pytest.mark.parametrize("graphs", [False, True])
def test_every_batch_size_equals_an_ordinary_run(path: Path, graphs: bool) -> None:
    """All outputs of every batch size equal those of an ordinary run bit for bit, without the padding."""
    session = session_of(path, graphs=graphs)
    plain = onnxruntime.InferenceSession(str(path), providers=[CPU])
    names = list(output_shapes())
    for size in range(1, MAX_BATCH + 1):
        images = pixels(size, seed=size)
        arrays = session.run(images)
        assert list(arrays) == names
        for name, values in zip(names, plain.run(names, {"images": images}), strict=True):
            np.testing.assert_array_equal(arrays[name], values)


def test_padding_is_black(path: Path) -> None:
    """After a full bucket, a smaller batch in it is padded with black images, not with earlier ones."""
    session = session_of(path, max_batch=8)
    session.run(np.full((7, 1, 8, 8), 255, np.uint8))
    session.run(pixels(5))
    bucket = session._buckets[-1]
    black = CpuSession(path).run(np.zeros((1, 1, 8, 8), np.uint8))
    for name, values in black.items():
        np.testing.assert_array_equal(bucket._outputs[name].numpy()[5:], values.repeat(3, axis=0))


def test_outputs_survive_the_next_run(path: Path) -> None:
    """The outputs of a run do not change when the next one runs."""
    session = session_of(path)
    first = session.run(pixels(4, seed=1))
    before = {name: values.copy() for name, values in first.items()}
    session.run(pixels(4, seed=2))
    for name, values in before.items():
        np.testing.assert_array_equal(first[name], values)


def test_larger_batches_run_in_pieces(path: Path) -> None:
    """A batch above the largest bucket is run in pieces, and the last piece is padded."""
    session = session_of(path, max_batch=4)
    images = pixels(11)
    arrays = session.run(images, ["poses"])
    assert list(arrays) == ["poses"]
    np.testing.assert_array_equal(arrays["poses"], CpuSession(path).run(images)["poses"])
    assert session.padding(11) == 1


def test_images_may_be_a_view_with_gaps(path: Path) -> None:
    """Images may be a view that is not contiguous in memory."""
    session = session_of(path, max_batch=4)
    images = pixels(8)[::2]
    np.testing.assert_array_equal(session.run(images)["poses"], CpuSession(path).run(images)["poses"])


def test_padding_fills_the_bucket(path: Path) -> None:
    """The padding is the bucket's size minus the batch's size."""
    session = session_of(path)
    assert [session.padding(images) for images in range(1, MAX_BATCH + 1)] == [0, 0, 1, 0, 1, 0]


def test_a_network_that_fails_in_one_bucket_is_rejected(tmp_path: Path) -> None:
    """A network that fails in any bucket is rejected when it is loaded."""
    model = make_model()
    column = next(constant for constant in model.graph.initializer if constant.name == "class_assignments_column")
    column.CopyFrom(numpy_helper.from_array(np.array([1, 1, 1, 1]), "class_assignments_column"))
    with pytest.raises(WarmUpError, match="fails on a batch of 4"):
        session_of(write_model(tmp_path, "m", 1, model), max_batch=4)


def test_outputs_that_are_not_finite_are_rejected(tmp_path: Path) -> None:
    """A network whose outputs are infinite is rejected when it is loaded."""
    path = write_model(tmp_path, "m", 1, make_model(scale=float("inf")))
    with pytest.raises(ValueError, match="not finite"):
        session_of(path)


def graphs_on(path: Path, runtime: RuntimeWithGpu, max_batch: int = 4) -> BucketSession:
    loaded = load(path, CUDA, {"device_id": "0"}, runtime=runtime)
    gate = runtime.gate
    return BucketSession(loaded, ("cuda", 0), max_batch=max_batch, graphs=True, runtime=runtime, gate=gate)


def test_each_bucket_has_one_graph(path: Path) -> None:
    """Each bucket is captured once when the network is loaded, and only bucket runs use a graph."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    session = graphs_on(path, runtime)
    assert [run.graph for run in runtime.runs] == ["4"] * 4 + ["2"] * 4 + ["1"] * 4
    assert [run.alone for run in runtime.runs] == [True, True, True, False] * 3, (
        "captured alone, replayed beside other runs"
    )
    assert set(runtime.plain_graphs) == {"-1"}
    runtime.runs.clear()
    np.testing.assert_array_equal(session.run(pixels(3))["poses"], CpuSession(path).run(pixels(3))["poses"])
    assert [run.graph for run in runtime.runs] == ["4"]


def test_graphs_run_in_the_thread_that_captured_them(path: Path) -> None:
    """All runs use the thread that captured the graphs, whichever thread calls."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    session = graphs_on(path, runtime)
    caller = threading.Thread(target=session.run, args=(pixels(2),))
    caller.start()
    caller.join()
    [thread] = {run.thread for run in runtime.runs}
    assert thread not in (threading.get_ident(), caller.ident)


def test_a_graph_that_ignores_new_images_is_rejected(path: Path) -> None:
    """A graph whose replay does not read the new images is rejected when the network is loaded."""
    with pytest.raises(StartError, match="MATCAPS_CUDA_GRAPHS=false"):
        graphs_on(path, RuntimeWithGpu([CUDA, CPU], replays_nothing=True))


def test_without_graphs_no_run_names_a_graph(path: Path) -> None:
    """Without graphs each bucket is warmed up once in the caller's thread, and no run names a graph."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    loaded = load(path, CUDA, {"device_id": "0"}, runtime=runtime)
    BucketSession(loaded, ("cuda", 0), max_batch=4, runtime=runtime)
    assert [run.graph for run in runtime.runs] == [None] * 3
    assert set(runtime.plain_graphs) == {None}


def test_buffers_are_allocated_once_on_the_device(path: Path) -> None:
    """Each bucket has one buffer per input and output on the named device, and runs allocate no more."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    loaded = load(path, CUDA, {"device_id": "1"}, runtime=runtime)
    session = BucketSession(loaded, ("cuda", 1), max_batch=4, runtime=runtime)
    made = list(runtime.buffers)
    assert {(device, number) for _, device, number in made} == {("cuda", 1)}
    shapes = [(1, 8, 8), *output_shapes().values()]
    assert [shape for shape, _, _ in made] == [(size, *shape) for size in (1, 2, 4) for shape in shapes]
    session.run(pixels(4))
    assert runtime.buffers == made
