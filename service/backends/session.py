"""A network that is ready to run, on a CPU or a GPU."""

import logging
from collections.abc import Callable, Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.cuda import CudaOptions, count_gpus, open_on_gpu
from matcaps.service.backends.onnx import CPU, CUDA, RUNTIME, Arrays, usable_cores
from matcaps.service.errors import StartError

__all__ = [
    "CPU",
    "CUDA",
    "Arrays",
    "CpuSession",
    "CudaOptions",
    "Device",
    "Session",
    "choose_provider",
    "open_session",
    "open_sessions",
    "usable_cores",
]

Device = Literal["auto", "cpu", "cuda"]
DEFAULTS = CudaOptions()

log = logging.getLogger("matcaps")


class Session(Protocol):
    """What runs batches: the seam between HTTP and the network."""

    metadata: Metadata
    provider: str
    workers: int
    """Threads that may call ``run`` at the same time."""

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        """Outputs by name (None: all) for images [batch, channels, height, width]; blocks until they are there."""
        ...

    def padding(self, images: int) -> int:
        """Rows that a batch of so many images is filled up with, and that are computed for nothing."""
        ...


def open_session(
    path: Path, device: Device, threads: int = 0, runtime: Any = RUNTIME, cuda: CudaOptions = DEFAULTS
) -> Session:
    """Load a model on the CPU or on the first GPU. Only ``auto`` may end on the CPU without a GPU, and logs why.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The device is ``cuda``, and the GPU cannot be used.
    """
    return open_sessions(path, device, threads, runtime, cuda, gpus=lambda: 1)[0]


def open_sessions(
    path: Path,
    device: Device,
    threads: int = 0,
    runtime: Any = RUNTIME,
    cuda: CudaOptions = DEFAULTS,
    gpus: Callable[[], int] = count_gpus,
) -> list[Session]:
    """Load a model on every GPU that the process may use, or once on the CPU.

    With ``cuda`` each GPU must do; with ``auto`` those serve that do, or else the CPU, and the log says why.

    Args:
        path: The ``model.onnx``.
        device: Where.
        threads: Of inference on the CPU; 0 takes one per core that this process may use.
        runtime: The onnxruntime module, or what stands for it in tests.
        cuda: What can be chosen on a GPU.
        gpus: Counts them. Where it finds none, the first is tried all the same: onnxruntime then says what is missing.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The device is ``cuda``, and a GPU cannot be used.
    """
    sessions: list[Session] = []
    if choose_provider(device, runtime.get_available_providers()) == CUDA:
        for device_id in range(gpus() or 1):
            try:
                sessions.append(open_on_gpu(path, cuda, device_id, runtime))
            except StartError as error:
                if device != "auto":
                    raise
                log.warning("GPU %d: %s; serving without it", device_id, error)
        if not sessions:
            log.warning("no GPU can be used; serving on the CPU")
    return sessions or [CpuSession(path, threads, runtime)]


def choose_provider(device: Device, available: Sequence[str]) -> str:
    """The execution provider for a device, of those that onnxruntime offers.

    Raises:
        StartError: CUDA is asked for, and this onnxruntime cannot offer it.
    """
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return CPU
    if CUDA in available:
        return CUDA
    installed = {package.name for package in packages.distributions()}
    both = {"onnxruntime", "onnxruntime-gpu"} <= installed
    why = " (onnxruntime and onnxruntime-gpu are both installed and overwrite each other)" if both else ""
    raise StartError(
        f"device cuda: onnxruntime offers {', '.join(available)} and no {CUDA}{why}. "
        f"Install matcaps[gpu] into an environment without matcaps[cpu], or set MATCAPS_DEVICE=cpu"
    )
