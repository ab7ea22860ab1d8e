"""What onnxruntime is told for a GPU, and how GPUs are counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matcaps.service.backends.cuda import CudaOptions, count_gpus, open_on_gpu
from matcaps.service.backends.onnx import CPU, CUDA
from matcaps.service.errors import StartError
from tests.support.doubles import make_model, write_model
from tests.support.gpu import RuntimeWithGpu


def test_the_provider_is_told(tmp_path: Path) -> None:
    """The defaults keep TF32 and graphs off, search no convolutions, and let the arena grow by what is asked for."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(), 2, runtime)
    assert runtime.asked == [
        (
            CUDA,
            {
                "device_id": "2",
                "use_tf32": "0",
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",
            },
        )
    ]


def test_what_is_chosen_is_told() -> None:
    """Each choice reaches the provider."""
    told = CudaOptions(graphs=True, tf32=True, memory_mib=3).for_provider(0)
    assert (told["enable_cuda_graph"], told["use_tf32"], told["gpu_mem_limit"]) == ("1", "1", "3145728")


def test_buckets_reach_the_largest_batch(tmp_path: Path) -> None:
    """The largest bucket is the largest batch that was chosen."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    session = open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(max_batch=3), runtime=runtime)
    assert [session.padding(images) for images in (1, 2, 3, 4)] == [0, 0, 0, 0]
    assert len(runtime.runs) == 3


def test_a_gpu_that_fails_when_it_runs(tmp_path: Path) -> None:
    """A sound file that loads and then fails on the GPU is the GPU's fault."""
    runtime = RuntimeWithGpu([CUDA, CPU], run_failure=RuntimeError("no kernel image is available"))
    with pytest.raises(StartError, match="cannot run on the GPU: it fails on a batch of 1: no kernel image"):
        open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(), runtime=runtime)


def test_a_gpu_that_is_too_full(tmp_path: Path) -> None:
    """A sound file for whose batches there is no room is the GPU's fault as well."""
    runtime = RuntimeWithGpu([CUDA, CPU], room_failure=RuntimeError("Failed to allocate memory"))
    with pytest.raises(StartError, match="no room for its batches of up to 8: Failed to allocate memory"):
        open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(max_batch=8), runtime=runtime)


def test_a_file_that_fails_everywhere(tmp_path: Path) -> None:
    """A file that fails on the CPU too is refused as a file."""
    path = write_model(tmp_path, "m", 1, make_model(scale=float("inf")))
    runtime = RuntimeWithGpu([CUDA, CPU], run_failure=RuntimeError("an illegal memory access"))
    with pytest.raises(ValueError, match="fails on a batch of 1: an illegal memory access"):
        open_on_gpu(path, CudaOptions(), runtime=runtime)


def driver(gpus: int, failure: int = 0) -> Any:
    """A driver with so many GPUs, whose start answers a number, 0 if all is well."""

    def count(pointer: Any) -> int:
        pointer._obj.value = gpus
        return 0

    return lambda name: SimpleNamespace(cuInit=lambda flags: failure, cuDeviceGetCount=count)


def test_gpus_are_counted_by_the_driver() -> None:
    """The driver's count is the count; a driver that fails, or is not there, counts as none."""
    assert count_gpus(driver(2)) == 2
    assert count_gpus(driver(2, failure=100)) == 0

    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert count_gpus(missing) == 0
    assert count_gpus(lambda name: SimpleNamespace()) == 0, "a library of another kind"
    assert count_gpus() >= 0
