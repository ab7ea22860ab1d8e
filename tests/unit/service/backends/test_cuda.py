"""The options that onnxruntime gets for a GPU, failures of a GPU, and how GPUs are counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matcaps.service.backends.cuda import CudaOptions, count_gpus, open_on_gpu
from matcaps.service.backends.onnx import CPU, CUDA
from matcaps.service.errors import StartError
from tests.support.doubles import make_model, write_model
from tests.support.gpu import RuntimeWithGpu


def test_the_default_options_reach_the_provider(tmp_path: Path) -> None:
    """By default TF32 and graphs are off, convolutions are not searched, and the arena grows as requested."""
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


def test_every_option_reaches_the_provider() -> None:
    """Each option reaches the provider."""
    told = CudaOptions(graphs=True, tf32=True, memory_mib=3).for_provider(0)
    assert (told["enable_cuda_graph"], told["use_tf32"], told["gpu_mem_limit"]) == ("1", "1", "3145728")


def test_the_largest_bucket_is_the_largest_batch(tmp_path: Path) -> None:
    """The largest bucket equals the chosen largest batch."""
    runtime = RuntimeWithGpu([CUDA, CPU])
    session = open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(max_batch=3), runtime=runtime)
    assert [session.padding(images) for images in (1, 2, 3, 4)] == [0, 0, 0, 0]
    assert len(runtime.runs) == 3


def test_a_failing_run_is_blamed_on_the_gpu(tmp_path: Path) -> None:
    """If a valid file loads but fails on the GPU, the error names the GPU."""
    runtime = RuntimeWithGpu([CUDA, CPU], run_failure=RuntimeError("no kernel image is available"))
    with pytest.raises(StartError, match="cannot run on the GPU: the network fails on a batch of 1: no kernel image"):
        open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(), runtime=runtime)


def test_a_full_gpu_is_named(tmp_path: Path) -> None:
    """If a GPU has no room for a valid file's batches, the error says so."""
    runtime = RuntimeWithGpu([CUDA, CPU], room_failure=RuntimeError("Failed to allocate memory"))
    with pytest.raises(StartError, match="no room for buffers of batches of up to 8 images: Failed to allocate memory"):
        open_on_gpu(write_model(tmp_path, "m", 1), CudaOptions(max_batch=8), runtime=runtime)


def test_a_file_that_also_fails_on_the_cpu_is_rejected(tmp_path: Path) -> None:
    """If a file fails on the CPU too, it is rejected as a file."""
    path = write_model(tmp_path, "m", 1, make_model(scale=float("inf")))
    runtime = RuntimeWithGpu([CUDA, CPU], run_failure=RuntimeError("an illegal memory access"))
    with pytest.raises(ValueError, match="fails on a batch of 1: an illegal memory access"):
        open_on_gpu(path, CudaOptions(), runtime=runtime)


def driver(gpus: int, failure: int = 0) -> Any:
    """A driver with this many GPUs; ``failure`` is the status of its initialisation, 0 for success."""

    def count(pointer: Any) -> int:
        pointer._obj.value = gpus
        return 0

    return lambda name: SimpleNamespace(cuInit=lambda flags: failure, cuDeviceGetCount=count)


def test_gpus_are_counted_by_the_driver() -> None:
    """The driver's count is used; a driver that fails or is missing counts as no GPU."""
    assert count_gpus(driver(2)) == 2
    assert count_gpus(driver(2, failure=100)) == 0

    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert count_gpus(missing) == 0
    assert count_gpus(lambda name: SimpleNamespace()) == 0, "a library that is not a driver"
    assert count_gpus() >= 0
