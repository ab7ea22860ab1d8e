"""Loads a model file into an onnxruntime session, checks it against the contract, and warms it up."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata, check_tensors, read_metadata
from matcaps.service.backends.pruning import without_outputs
from matcaps.service.backends.session import Arrays
from matcaps.service.cores import usable_cores
from matcaps.service.errors import StartError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
FATAL = 4  # severity of onnxruntime's own log; its errors are raised as exceptions anyway
RUNTIME: Any = onnxruntime
LONGEST = 600  # characters of a reason
# A place in onnxruntime's source: file and line, then the function with its arguments, or its name alone.
PLACE = re.compile(
    r"[\w./+-]+\.(?:cc|cpp|cu|cuh|h|hpp):\d+ "
    r"(?:[^()]*::[^()]*(?:\((?:[^()]|\([^()]*\))*\))+(?: const)?(?: \[with [^\]]*\])? ?|\w+ (?=[A-Z]))?"
)
FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s\"':]+/)+")  # of an absolute path
onnxruntime.set_default_logger_severity(FATAL)  # for messages outside of a session, such as one line per GPU


class WarmUpError(ValueError):
    """The runtime failed on the first images."""


@dataclass(frozen=True)
class Loaded:
    """A file that onnxruntime has loaded and that keeps the contract; nothing has run yet."""

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
    without: Collection[str] = (),
    runtime: Any = RUNTIME,
) -> Loaded:
    """Load a file on one provider, without falling back to another one.

    Args:
        path: The ``model.onnx``.
        provider: Where it runs.
        provider_options: Options of the provider.
        threads: Threads of one inference on the CPU; 0 uses one per core that this process may run on.
        without: Outputs that are not computed; the file has passed the contract with them.
        runtime: The onnxruntime module, or a test double.

    Raises:
        ValueError: The file is damaged or breaks the contract.
        StartError: The provider cannot be started on this machine.
    """
    options = _options(threads, runtime)
    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen = provider if provider_options is None else (provider, dict(provider_options))
    try:
        source = without_outputs(path.read_bytes(), without) if without else str(path)
        session = runtime.InferenceSession(source, options, providers=[chosen], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = reason_of(error, path)
        if provider != CPU and _loads_on_cpu(path, runtime):
            raise StartError(f"the network cannot run on the GPU: {reason}") from error
        raise ValueError(f"not an ONNX file that onnxruntime can run: {reason}") from error
    actual = session.get_providers()[0]
    if actual != provider:
        raise StartError(f"expected onnxruntime to use {provider}, but it chose {actual}: is there a GPU?")
    metadata = read_metadata(session.get_modelmeta().custom_metadata_map)
    check_tensors(metadata, session.get_inputs(), session.get_outputs(), without)
    return Loaded(session, actual, metadata, [output.name for output in session.get_outputs()])


def _options(threads: int, runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    # Without an explicit number, onnxruntime pins threads to cores. In a container that may use only some of the
    # cores, it then logs an error for each thread that it cannot pin.
    options.intra_op_num_threads = threads or usable_cores()
    return options


def black_and_white(metadata: Metadata, size: int) -> NDArray[np.uint8]:
    """A batch of uniform images, alternately black and white."""
    image = metadata.image
    images = np.zeros((size, image.channels, image.height, image.width), np.uint8)
    images[1::2] = 255
    return images


def warm_up(run: Callable[[NDArray[np.uint8]], Arrays], images: NDArray[np.uint8]) -> Arrays:
    """Run a network on its first images, check the outputs, and return them.

    Raises:
        WarmUpError: The run fails.
        ValueError: An output is not finite, or has another number of rows.
    """
    try:
        arrays = run(images)
    except Exception as error:
        raise WarmUpError(f"the network fails on a batch of {len(images)}: {reason_of(error)}") from error
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"output {name} is not finite for black or white images")
        if len(values) != len(images):
            raise ValueError(f"output {name} must have {len(images)} rows for {len(images)} images, got {len(values)}")
    return arrays


def reason_of(error: Exception, path: Path | None = None) -> str:
    """The message of a runtime's error in one line, without its place in C++ and without the folders of paths.

    >>> reason_of(ValueError("failed:/src/graph/model.cc:256 void ns::Model::Model(const A&, B<int>) Unsupported: 9"))
    'failed: Unsupported: 9'
    >>> reason_of(ValueError("cannot open /opt/models/weights.bin"))
    'cannot open weights.bin'
    """
    text = str(error)
    if path is not None:
        text = text.replace(f"{path.parent}/", "")  # its folders may contain spaces
    text = " ".join(FOLDERS.sub("", PLACE.sub(" ", text)).split())
    if len(text) <= LONGEST:
        return text
    # The cause is at the end; in between the runtime may list all of a node's tensors.
    return f"{text[: LONGEST // 3]} … {text[-2 * LONGEST // 3 :]}"


def _loads_on_cpu(path: Path, runtime: Any) -> bool:
    """Whether the CPU can load the file; if so, the GPU is the cause of a failure."""
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    try:
        runtime.InferenceSession(str(path), options, providers=[CPU], enable_fallback=0)
    except Exception:
        return False
    return True
