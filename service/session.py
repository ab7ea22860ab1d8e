"""A network that is ready to run, on a CPU or a GPU."""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.artefact import Metadata, check_tensors, read_metadata
from service.errors import StartError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
FATAL = 4  # of onnxruntime's own log; its errors reach us as exceptions

Arrays = Mapping[str, NDArray[np.float32]]
Device = Literal["auto", "cpu", "cuda"]

log = logging.getLogger("emcaps")


class Session(Protocol):
    """What runs batches: the seam between HTTP and the network. One thread at a time calls ``run``."""

    metadata: Metadata
    provider: str

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        """Outputs by name (None: all) for images [batch, channels, height, width]; blocks until they are there."""
        ...

    def padding(self, images: int) -> int:
        """Rows that run for nothing beside a batch of so many images."""
        ...


def open_session(path: Path, device: Device, threads: int = 0, runtime: Any = onnxruntime) -> "OnnxSession":
    """Load a model on a device. Only ``auto`` may end on the CPU where there is no GPU, and logs why.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The device is ``cuda``, and the GPU cannot be used.
    """
    provider = choose_provider(device, runtime.get_available_providers())
    try:
        return OnnxSession(path, provider, threads, runtime)
    except StartError as error:
        if device != "auto" or provider == CPU:
            raise
        log.warning("%s; serving on the CPU", error)
        return OnnxSession(path, CPU, threads, runtime)


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
        f"Install emcaps[gpu] into an environment without emcaps[cpu], or set EMCAPS_DEVICE=cpu"
    )


class OnnxSession:
    """An exported network in onnxruntime.

    Args:
        path: The ``model.onnx``.
        provider: Where it runs; what does not run there is not run at all.
        threads: Of one inference on the CPU; 0 takes one per core that this process may use.
        runtime: The onnxruntime module, or what stands for it in tests.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
        StartError: The provider cannot be started on this machine.
    """

    def __init__(self, path: Path, provider: str, threads: int = 0, runtime: Any = onnxruntime) -> None:
        options = runtime.SessionOptions()
        options.log_severity_level = FATAL
        # A number of our own: left to itself onnxruntime pins threads to cores, and in a container that has only
        # some of the cores each thread that cannot be pinned is an error in the log.
        options.intra_op_num_threads = threads or usable_cores()
        chosen: list[str | tuple[str, dict[str, str]]] = [provider]
        if provider == CUDA:
            runtime.preload_dlls()
            chosen = [(CUDA, {"use_tf32": "0"})]
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=chosen, enable_fallback=0)
        except Exception as error:  # onnxruntime's own kinds share no base class
            reason = _reason(error).replace(str(path), path.name)
            if provider == CUDA and _loads_on_cpu(path, runtime):
                raise StartError(f"the network cannot run on the GPU: {reason}") from error
            raise ValueError(f"not an ONNX file that can be run: {reason}") from error
        self.provider = self._session.get_providers()[0]
        if self.provider != provider:
            raise StartError(f"{provider} was asked for, but onnxruntime took {self.provider}: is there a GPU?")
        self.metadata = read_metadata(self._session.get_modelmeta().custom_metadata_map)
        check_tensors(self.metadata, self._session.get_inputs(), self._session.get_outputs())
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._try_out()

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = self._outputs if outputs is None else list(outputs)
        return dict(zip(names, self._session.run(names, {"images": images}), strict=True))

    def padding(self, images: int) -> int:
        return 0

    def _try_out(self) -> None:
        """Run one image, then two, before any request does; it warms the session up as well."""
        image = self.metadata.image
        black = np.zeros((1, image.channels, image.height, image.width), np.uint8)
        for images in (black, np.concatenate([black, ~black])):
            try:
                arrays = self.run(images)
            except Exception as error:
                raise ValueError(f"it fails on a batch of {len(images)}: {_reason(error)}") from error
            for name, values in arrays.items():
                if not np.isfinite(values).all():
                    raise ValueError(f"output {name} is not finite for black or white images")
                if len(values) != len(images):
                    raise ValueError(f"output {name} has {len(values)} rows for {len(images)} images")


def _loads_on_cpu(path: Path, runtime: Any) -> bool:
    """Whether the file is sound, so that what failed is the GPU."""
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    try:
        runtime.InferenceSession(str(path), options, providers=[CPU], enable_fallback=0)
    except Exception:
        return False
    return True


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
