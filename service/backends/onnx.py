"""A model file made a session of onnxruntime, or refused with the reason."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata, check_tensors, read_metadata
from matcaps.service.errors import StartError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
FATAL = 4  # of onnxruntime's own log; its errors reach us as exceptions
RUNTIME: Any = onnxruntime
onnxruntime.set_default_logger_severity(FATAL)  # what it says outside of a session: on a GPU, a line for each one

Arrays = Mapping[str, NDArray[np.float32]]


class TrialError(ValueError):
    """The runtime failed on the first images that it was given."""


@dataclass(frozen=True)
class Loaded:
    """A file that onnxruntime has taken and that keeps the contract; nothing has run yet."""

    session: Any
    provider: str
    metadata: Metadata
    outputs: list[str]


def load(
    path: Path,
    provider: str,
    provider_options: Mapping[str, str] | None = None,
    *,
    threads: int = 0,
    runtime: Any = RUNTIME,
) -> Loaded:
    """Load a file on one provider; what does not run there is not run at all.

    Args:
        path: The ``model.onnx``.
        provider: Where it runs.
        provider_options: What the provider is told.
        threads: Of one inference on the CPU; 0 takes one per core that this process may use.
        runtime: The onnxruntime module, or what stands for it in tests.

    Raises:
        ValueError: The file is damaged or breaks the contract.
        StartError: The provider cannot be started on this machine.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    # A number of our own: left to itself onnxruntime pins threads to cores, and in a container that has only
    # some of the cores each thread that cannot be pinned is an error in the log.
    options.intra_op_num_threads = threads or usable_cores()
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen = provider if provider_options is None else (provider, dict(provider_options))
    try:
        session = runtime.InferenceSession(str(path), options, providers=[chosen], enable_fallback=0)
    except Exception as error:  # onnxruntime's own kinds share no base class
        reason = reason_of(error).replace(str(path), path.name)
        if provider != CPU and _loads_on_cpu(path, runtime):
            raise StartError(f"the network cannot run on the GPU: {reason}") from error
        raise ValueError(f"not an ONNX file that can be run: {reason}") from error
    taken = session.get_providers()[0]
    if taken != provider:
        raise StartError(f"{provider} was asked for, but onnxruntime took {taken}: is there a GPU?")
    metadata = read_metadata(session.get_modelmeta().custom_metadata_map)
    check_tensors(metadata, session.get_inputs(), session.get_outputs())
    return Loaded(session, taken, metadata, [output.name for output in session.get_outputs()])


def black_and_white(metadata: Metadata, size: int) -> NDArray[np.uint8]:
    """A batch of even images, black and white in turn."""
    image = metadata.image
    images = np.zeros((size, image.channels, image.height, image.width), np.uint8)
    images[1::2] = 255
    return images


def warm_up(run: Callable[[NDArray[np.uint8]], Arrays], images: NDArray[np.uint8]) -> Arrays:
    """What a network answers to its first images, which warm it up as well, before any request comes.

    Raises:
        TrialError: It fails.
        ValueError: It answers a number that is not finite, or another number of rows.
    """
    try:
        arrays = run(images)
    except Exception as error:
        raise TrialError(f"it fails on a batch of {len(images)}: {reason_of(error)}") from error
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"output {name} is not finite for black or white images")
        if len(values) != len(images):
            raise ValueError(f"output {name} has {len(values)} rows for {len(images)} images")
    return arrays


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


def reason_of(error: Exception) -> str:
    """What a runtime's error says, in one line."""
    return " ".join(str(error).split())[:300]
