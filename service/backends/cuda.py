"""Sessions on NVIDIA GPUs: what onnxruntime is told, and how many GPUs there are.

The tests have no GPU: they try the calls against a stand-in, and the buffers on the CPU's memory. On an H100
``scripts/check-gpu`` has found both right.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matcaps.service.backends.buckets import BucketSession
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.cuda_graphs import GATE
from matcaps.service.backends.onnx import CUDA, RUNTIME, TrialError, load
from matcaps.service.errors import StartError

DRIVER = "libcuda.so.1"
MIB = 2**20


@dataclass(frozen=True)
class CudaOptions:
    """What can be chosen on a GPU.

    Args:
        max_batch: The largest bucket.
        graphs: Record a CUDA graph of each bucket. Off until asked for: recordings are the one part whose rules are
            CUDA's and not ours, and models have not been replaced under load with them yet.
        tf32: Let products round their factors to 10 bits of mantissa; poses then miss the parity bound of 1e-4.
        memory_mib: Limit of the arena of one session; 0 sets none.
    """

    max_batch: int = 8
    graphs: bool = False
    tf32: bool = False
    memory_mib: int = 0

    def for_provider(self, device_id: int) -> dict[str, str]:
        """The provider's options, as onnxruntime wants them.

        >>> CudaOptions(memory_mib=512).for_provider(1)["gpu_mem_limit"]
        '536870912'
        """
        options = {
            "device_id": str(device_id),
            "use_tf32": str(int(self.tf32)),
            # A search by trial would run for each batch size, and its choice, so its rounding, would vary.
            "cudnn_conv_algo_search": "HEURISTIC",
            # All sizes are known once the buckets are warm, so growing in powers of two only wastes memory.
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
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The GPU cannot be used.
    """
    runtime.preload_dlls()
    try:
        with GATE.running():
            loaded = load(path, CUDA, options.for_provider(device_id), runtime=runtime)
        return BucketSession(
            loaded, ("cuda", device_id), max_batch=options.max_batch, graphs=options.graphs, runtime=runtime
        )
    except TrialError as error:
        # A driver too old, a GPU too old or too full often shows only now.
        if _runs_on_cpu(path, runtime):
            raise StartError(f"the network cannot run on the GPU: {error}") from error
        raise


def count_gpus(open_library: Callable[[str], Any] = ctypes.CDLL) -> int:
    """GPUs that this process may use, as the driver counts them; 0 where there is no driver.

    The driver is asked, because it knows CUDA_VISIBLE_DEVICES and is there wherever a GPU is; onnxruntime's own list of
    devices comes from the PCI bus, and knows it not.
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
