"""Sessions on NVIDIA GPUs: the options that onnxruntime gets, and the number of GPUs.

The tests have no GPU. They check the calls against a test double, and the buffers in CPU memory. ``scripts/check-gpu``
checks both on a GPU.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matcaps.service.backends.buckets import BucketSession
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.cuda_graphs import GATE
from matcaps.service.backends.onnx import CUDA, RUNTIME, WarmUpError, load
from matcaps.service.errors import StartError

DRIVER = "libcuda.so.1"
MIB = 2**20


@dataclass(frozen=True)
class CudaOptions:
    """Options for GPUs.

    Args:
        max_batch: The largest bucket.
        graphs: Capture a CUDA graph for each bucket. Off by default: replacing models under load has not been tested
            with it.
        tf32: Round the factors of products to 10 bits of mantissa; poses then miss the parity bound of 1e-4.
        memory_mib: Limit of one session's memory arena in MiB; 0 sets none.
    """

    max_batch: int = 8
    graphs: bool = False
    tf32: bool = False
    memory_mib: int = 0

    def for_provider(self, device_id: int) -> dict[str, str]:
        """The options of onnxruntime's CUDA provider.

        >>> CudaOptions(memory_mib=512).for_provider(1)["gpu_mem_limit"]
        '536870912'
        """
        options = {
            "device_id": str(device_id),
            "use_tf32": str(int(self.tf32)),
            # An exhaustive search would run for each batch size, and its choice (and so the rounding) could vary.
            "cudnn_conv_algo_search": "HEURISTIC",
            # The buckets fix all sizes at warm-up, so growing in powers of two would only waste memory.
            "arena_extend_strategy": "kSameAsRequested",
        }
        if self.graphs:
            options["enable_cuda_graph"] = "1"
        if self.memory_mib:
            options["gpu_mem_limit"] = str(self.memory_mib * MIB)
        return options


def open_on_gpu(path: Path, options: CudaOptions, device_id: int = 0, runtime: Any = RUNTIME) -> BucketSession:
    """Load a model on one GPU and warm up every bucket.

    Raises:
        ValueError: The file is damaged, breaks the contract, or its outputs are not finite.
        StartError: The GPU cannot be used.
    """
    runtime.preload_dlls()
    try:
        with GATE.running():
            loaded = load(path, CUDA, options.for_provider(device_id), runtime=runtime)
        return BucketSession(
            loaded, ("cuda", device_id), max_batch=options.max_batch, graphs=options.graphs, runtime=runtime
        )
    except WarmUpError as error:
        # An old driver, an old GPU or a full GPU often fails only now.
        if _runs_on_cpu(path, runtime):
            raise StartError(f"the network cannot run on the GPU: {error}") from error
        raise


def count_gpus(open_library: Callable[[str], Any] = ctypes.CDLL) -> int:
    """The number of GPUs that this process may use, counted by the driver; 0 without a driver.

    The driver respects CUDA_VISIBLE_DEVICES. onnxruntime's own list of devices comes from the PCI bus and ignores it.
    """
    number = ctypes.c_int(0)
    try:
        driver = open_library(DRIVER)
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(number))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else number.value


def _runs_on_cpu(path: Path, runtime: Any) -> bool:
    try:
        CpuSession(path, threads=1, runtime=runtime)
    except (ValueError, StartError):
        return False
    return True
