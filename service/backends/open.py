"""Opens a model file on the device that the settings name: on every GPU, or on the CPU."""

import logging
from collections.abc import Callable, Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal

from matcaps.service.backends import kernel
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.cuda import CudaOptions, count_gpus, open_on_gpu
from matcaps.service.backends.onnx import CPU, CUDA, RUNTIME
from matcaps.service.backends.session import Session
from matcaps.service.errors import StartError

Device = Literal["auto", "cpu", "cuda"]
DEFAULTS = CudaOptions()

log = logging.getLogger("matcaps")


def open_session(
    path: Path, device: Device, threads: int = 0, runtime: Any = RUNTIME, cuda: CudaOptions = DEFAULTS
) -> Session:
    """Load a model on the first GPU or on the CPU. Only ``auto`` may fall back to the CPU, and logs why.

    Raises:
        ValueError: The file is damaged, breaks the contract, or its outputs are not finite.
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
    cpu_kernel: kernel.Mode = "off",
) -> list[Session]:
    """Load a model on every GPU that the process may use, or once on the CPU.

    With ``cuda`` every GPU must work. With ``auto`` the model is loaded on the GPUs that work, or else on the CPU,
    and the log says why.

    Args:
        path: The ``model.onnx``.
        device: Where to run.
        threads: Inference threads on the CPU; 0 uses one per core that this process may run on.
        runtime: The onnxruntime module, or a test double.
        cuda: Options for GPUs.
        gpus: Counts the GPUs. If it finds none, the first GPU is tried anyway, so that onnxruntime reports what is
            missing.
        cpu_kernel: Whether the C++ kernel routes on the CPU; see ``matcaps.service.backends.kernel``.

    Raises:
        ValueError: The file is damaged, breaks the contract, or its outputs are not finite.
        StartError: The device is ``cuda``, and a GPU cannot be used; or the kernel is ``on`` and cannot be used.
    """
    sessions: list[Session] = []
    if choose_provider(device, runtime.get_available_providers()) == CUDA:
        for device_id in range(gpus() or 1):
            try:
                sessions.append(open_on_gpu(path, cuda, device_id, runtime))
            except StartError as error:
                if device != "auto":
                    raise
                log.warning("serving without GPU %d: %s", device_id, error)
        if not sessions:
            log.warning("serving on the CPU: no GPU can be used")
    if sessions:
        return sessions
    session = CpuSession(path, threads, runtime)
    kernel.adopt(session, path, cpu_kernel)
    return [session]


def choose_provider(device: Device, available: Sequence[str]) -> str:
    """The execution provider for a device, from those that onnxruntime offers.

    Raises:
        StartError: The device is ``cuda``, and this onnxruntime does not offer CUDA.
    """
    if device == "cpu" or (device == "auto" and CUDA not in available):
        return CPU
    if CUDA in available:
        return CUDA
    installed = {package.name for package in packages.distributions()}
    both = {"onnxruntime", "onnxruntime-gpu"} <= installed
    cause = " (onnxruntime and onnxruntime-gpu are both installed and overwrite each other)" if both else ""
    raise StartError(
        f"device cuda needs {CUDA}, but onnxruntime offers only {', '.join(available)}{cause}; "
        f"install matcaps[gpu] into an environment without matcaps[cpu], or set MATCAPS_DEVICE=cpu"
    )
