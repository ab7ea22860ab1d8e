"""Lets the C++ kernel route on the CPU: compiled, loaded and compared with onnxruntime before it answers anybody."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matcaps.kernels.library import CompilationError, library
from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.routed import RoutedNetwork
from matcaps.service.backends.session import Arrays
from matcaps.service.errors import StartError

Mode = Literal["auto", "on", "off"]
PICTURES = 64
BOUND = 1e-4  # of each output; of its largest element where that is above 1, as in the parity check of a release

log = logging.getLogger("matcaps")
_one_at_a_time = threading.Lock()  # at a start all models would compile the same library, and compare at once


def adopt(session: CpuSession, path: Path, mode: Mode) -> None:
    """Let a session use the kernel, if it agrees with onnxruntime.

    Args:
        session: Of ``model.onnx``, which answers by onnxruntime until the kernel is ready.
        path: The ``model.onnx``.
        mode: ``auto`` compiles and compares in a thread, and stays with onnxruntime where that fails. ``on`` does it
            now. ``off`` does nothing.

    Raises:
        StartError: The mode is ``on``, and the kernel cannot be used.
    """
    if mode == "off":
        session.keep_onnxruntime("MATCAPS_CPU_KERNEL is off")
    elif mode == "on":
        try:
            _prepare(session, path)
        except (CompilationError, OSError, ValueError, MemoryError) as error:
            raise StartError(f"MATCAPS_CPU_KERNEL is on, but {path.parent} cannot use the kernel: {error}") from error
    else:
        session.keep_onnxruntime("the kernel is being compiled and compared")
        # No daemon: one that is inside onnxruntime when the interpreter ends would abort the process.
        threading.Thread(target=_try, args=(session, path), name=f"kernel of {path.parent}").start()


def _try(session: CpuSession, path: Path) -> None:
    try:
        with _one_at_a_time:
            _prepare(session, path, _compile)
    except _EndingError:
        pass
    except Exception as error:
        session.keep_onnxruntime(str(error))
        log.info("%s is served by onnxruntime alone: %s", path.parent, error)


class _EndingError(Exception):
    """The process ends, so nobody needs the kernel any more."""


def _go_on() -> None:
    if not threading.main_thread().is_alive():
        raise _EndingError


def _compile() -> None:
    """Compile in a daemon thread, which the end of the process does not wait for. A failure is left to ``_prepare``."""

    def compile_() -> None:
        with suppress(CompilationError, OSError):
            library()

    thread = threading.Thread(target=compile_, daemon=True)
    thread.start()
    while thread.is_alive():
        _go_on()
        thread.join(0.1)


def _prepare(session: CpuSession, path: Path, compile_first: Callable[[], None] = lambda: None) -> None:
    """Load, compile, compare, and then use the kernel. A model without the files that it needs compiles nothing.

    Raises:
        CompilationError: The kernel cannot be compiled here.
        OSError: The compiled library cannot be loaded.
        ValueError: A file is missing or damaged, or the two differ by more than the bound.
    """
    routed = RoutedNetwork(path.parent, session.metadata, session.workers)
    compile_first()
    library()
    difference = _largest_difference(session, routed)
    if not difference <= BOUND:
        raise ValueError(f"its answers to {PICTURES} pictures differ from onnxruntime's by {difference:.1e}")
    session.use(routed)
    log.info("%s is routed by the C++ kernel, which differs from onnxruntime by %.1e", path.parent, difference)


def _largest_difference(session: CpuSession, routed: RoutedNetwork) -> float:
    """Over all outputs, relative to the largest element of an output where that is above 1."""
    names = list(session.metadata.outputs())
    pictures = pictures_to_compare(session.metadata)
    largest = 0.0
    for at in range(0, len(pictures), 8):  # a batch at a time, so that requests in between do not wait long
        _go_on()
        images = pictures[at : at + 8]
        one, other = session.run(images, names), routed.run(images, names, alone=False)
        largest = max(largest, *(_difference(one, other, name) for name in names))
    return largest


def _difference(one: Arrays, other: Arrays, name: str) -> float:
    if one[name].shape != other[name].shape:
        raise ValueError(f"output {name} has the shape {other[name].shape}, onnxruntime's {one[name].shape}")
    found = float(np.abs(one[name] - other[name]).max())
    return found / max(1.0, float(np.abs(one[name]).max())) if found == found else float("inf")


def pictures_to_compare(metadata: Metadata) -> NDArray[np.uint8]:
    """Black, white, noise and smooth pictures, the same every time: uint8 [64, channels, height, width]."""
    random = np.random.default_rng(0)
    channels, height, width = metadata.image.shape
    noise = random.integers(0, 256, (PICTURES, channels, height, width)).astype(np.uint8)
    noise[0], noise[1] = 0, 255
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    for picture in noise[2 : PICTURES // 2]:
        for channel in picture:
            waves = random.uniform(0, 2 * np.pi, 2)
            frequencies = random.uniform(1, 20, (2, 2))
            field = sum(np.sin(a * rows + b * columns + c) for (a, b), c in zip(frequencies, waves, strict=True))
            channel[:] = np.clip(127.5 + random.uniform(20, 127) * field, 0, 255)
    return noise
