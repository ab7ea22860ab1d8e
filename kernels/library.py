"""The C++ kernels as a shared library: compiled at first use, stored in the user's cache folder, loaded once."""

import ctypes
import hashlib
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]  # no stubs

SOURCES = Path(__file__).parent
COMPILED = SOURCES / "compiled"  # libraries that an image was built with, for hosts without a compiler
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
WIDTHS = {
    512: ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma"),
    256: ("-mavx2", "-mfma"),
    128: (),
}
"""Compiler flags on x86 by bits of a vector. Other processors have vectors of 128 bits and need no flags."""

log = logging.getLogger(__name__)


class CompilationError(RuntimeError):
    """There is no compiler, it failed to compile the sources, or the library cannot be stored."""


class LayerStruct(ctypes.Structure):
    """``matcaps::Layer`` of layer.h, field by field."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "child_sites", "parent_sites", "positions")),
        *((name, ctypes.c_int64) for name in ("child_types", "parent_types", "lanes", "shared", "windows_at_most")),
        *((name, ctypes.c_int64) for name in ("iterations", "threads")),
        *((name, ctypes.c_void_p) for name in ("seen", "slots", "windows_of_child", "coordinates")),
        *((name, ctypes.c_double) for name in ("final_inverse_temperature", "mass_unit")),
        *((name, ctypes.c_double) for name in ("density_temperature", "variance_floor")),
        ("competing_types", ctypes.c_int64),
    )


class ForwardTensors(ctypes.Structure):
    """``matcaps::ForwardTensors`` of layer.h, field by field."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("poses", "activations", "weights", "beta_u", "beta_a")),
        *((name, ctypes.c_void_p) for name in ("logits", "means", "assignments", "weighings", "gaussians")),
    )


class BackwardTensors(ctypes.Structure):
    """``matcaps::BackwardTensors`` of layer.h, field by field."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("poses", "activations", "weights", "beta_u")),
        *((name, ctypes.c_void_p) for name in ("weighings", "gaussians")),
        *((name, ctypes.c_void_p) for name in ("logits_gradient", "means_gradient", "assignments_gradient")),
        *((name, ctypes.c_void_p) for name in ("poses_gradient", "activations_gradient", "weights_gradient")),
        *((name, ctypes.c_void_p) for name in ("beta_u_gradient", "beta_a_gradient")),
    )


def widest() -> int:
    """Bits of this processor's widest vectors."""
    has: dict[str, bool] = __cpu_features__
    if has.get("AVX512_SKX"):  # F, CD, BW, DQ and VL
        return 512
    return 256 if has.get("AVX2") and has.get("FMA3") else 128


def padded(parent_types: int) -> int:
    """Lanes: the parent types and the unused places of the last vector. It is the innermost axis of the tables."""
    block = 4 if parent_types <= 4 else 8 if parent_types <= 8 else 16
    return -(-parent_types // block) * block


@cache
def library(width: int | None = None) -> ctypes.CDLL:
    """The kernels for vectors of ``width`` bits, by default the widest; compiled unless the cache has them.

    Where the folder ``compiled`` beside this file has a library of that width, that one is loaded, and no compiler is
    needed (``python -m matcaps.kernels`` writes it). The variable ``CXX`` names the compiler (by default c++) and
    ``CXXFLAGS`` adds to its flags. The cache is ``$XDG_CACHE_HOME/matcaps``, by default ``~/.cache/matcaps``.

    Raises:
        CompilationError: No compiler is installed, it failed, or the cache cannot be written; the message is one line.
        OSError: The library cannot be loaded.
    """
    width = width or widest()
    if (compiled := COMPILED / f"routing-{width}.so").is_file():
        return _load(compiled)
    command = command_for(width)
    folder = _cache()
    file = folder / f"routing-{_key(command)}.so"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            compile_into(file, command)
    except OSError as error:
        raise CompilationError(
            f"cannot write into {folder}: {error.strerror}; XDG_CACHE_HOME names another place for it"
        ) from error
    return _load(file)


def command_for(width: int) -> list[str]:
    """The compiler's command for vectors of a width, without the files.

    Raises:
        CompilationError: No compiler is installed.
    """
    compiler = os.environ.get("CXX", "c++")
    path = shutil.which(compiler)
    if path is None:
        raise CompilationError(f"no C++ compiler {compiler!r} is installed")
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return [
        *(path, *FLAGS, *(WIDTHS[width] if x86 else ())),
        f"-DMATCAPS_BYTES={width // 8}",
        *shlex.split(os.environ.get("CXXFLAGS", "")),
    ]


def _load(file: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(file))
    for function, tensors in ((loaded.matcaps_forward, ForwardTensors), (loaded.matcaps_backward, BackwardTensors)):
        function.argtypes = (ctypes.POINTER(LayerStruct), ctypes.POINTER(tensors), ctypes.c_int)
        function.restype = ctypes.c_int
    return loaded


@cache
def available() -> bool:
    """Whether the kernels can be used here. The first call may compile for seconds; a failure is logged once."""
    try:
        library()
    except (CompilationError, OSError) as error:
        log.warning("EM routing falls back to plain PyTorch, many times slower on a CPU: %s", error)
        return False
    return True


def _cache() -> Path:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "matcaps"
    try:
        return Path.home() / ".cache" / "matcaps"
    except RuntimeError as error:
        raise CompilationError(
            "there is no home folder to keep the kernels in; XDG_CACHE_HOME names another place for them"
        ) from error


def _key(command: list[str]) -> str:
    """A hash of all that the library depends on: the compiler and its flags, the processor, the sources."""
    version = subprocess.run([command[0], "--version"], capture_output=True, check=False).stdout
    facts = [version, platform.processor().encode(), platform.machine().encode()]
    facts += [str(argument).encode() for argument in command]
    facts += [source.read_bytes() for source in sorted(SOURCES.iterdir()) if source.suffix in (".h", ".cpp")]
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:20]


def compile_into(file: Path, command: list[str]) -> None:
    """Compile the library into a file, which appears when it is whole.

    Raises:
        CompilationError: The compiler failed; its output is beside the file.
        OSError: The folder cannot be written.
    """
    # Into a temporary folder, then moved: two processes may compile at once, and one may be killed.
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / file.name
        result = subprocess.run(
            [*command, str(SOURCES / "library.cpp"), "-o", str(made)], capture_output=True, check=False
        )
        if result.returncode:
            output = file.with_suffix(".log")
            output.write_bytes(result.stderr)
            raise CompilationError(
                f"{command[0]} failed with status {result.returncode}: {_reason(result.stderr)}; "
                f"its output is in {output}"
            )
        made.replace(file)
        file.with_suffix(".log").unlink(missing_ok=True)


def _reason(output: bytes) -> str:
    """The first line of a compiler's output that names an error."""
    lines = output.decode(errors="replace").strip().splitlines() or ["no output"]
    return next((line for line in lines if re.search("error|failed", line, re.IGNORECASE)), lines[0]).strip()
