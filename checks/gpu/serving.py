"""``scripts/check-gpu``: the networks on a GPU beside the CPU, and timed; without torch and onnx."""

import argparse
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.process import ROOT
from checks.gpu.server import ServerError, ask_server
from matcaps.service.backends.buckets import BucketSession, bucket_sizes
from matcaps.service.backends.cpu import CpuSession
from matcaps.service.backends.cuda import CudaOptions, count_gpus, open_on_gpu
from matcaps.service.backends.onnx import CPU, CUDA, RUNTIME, load
from matcaps.service.backends.open import choose_provider
from matcaps.service.backends.session import Arrays, Session
from matcaps.service.errors import StartError

BOUND = 1e-4
SERVED = ["activations", "poses"]  # what /predict asks for
TESTS = ["pytest", "onnx", "httpx", "hypothesis", "beartype", "filelock", "jaxtyping", "torch"]  # what the tests import
SERVICE_TESTS = ["tests/unit/service", "tests/integration/service"]
TESTS_S = 240.0


@dataclass(frozen=True)
class Way:
    """One way to run a network."""

    name: str
    graphs: bool = False
    tf32: bool = False


PLAIN, GRAPHS, TF32 = Way("plain"), Way("CUDA graphs", graphs=True), Way("TF32", tf32=True)


@dataclass
class Figures:
    """The largest error and the milliseconds of each way, for one bucket of one model."""

    model: str
    batch: int
    errors: dict[Way, float] = field(default_factory=dict)
    times_ms: dict[Way, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, and print a table and what is wrong; the exit status is 0 if nothing is."""
    parser = argparse.ArgumentParser("scripts/check-gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: rehearse without a GPU")
    parser.add_argument(
        "--models", type=Path, default=ROOT / "model_repository", help="folder of NAME/VERSION/model.onnx"
    )
    parser.add_argument("--max-batch", type=int, default=64, help="the largest bucket")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds for which one bucket is timed")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    gpus = 1
    if options.device == "cuda":
        try:
            choose_provider("cuda", RUNTIME.get_available_providers())
        except StartError as error:
            sys.exit(f"scripts/check-gpu: {error}")
        gpus = count_gpus()
        if not gpus:
            sys.exit("scripts/check-gpu: expected a GPU, the driver counts none; --device cpu rehearses without one")
    print(about(options.device, gpus), end="\n\n", flush=True)
    wrong: list[str] = []
    figures: list[Figures] = []
    paths = newest(options.models)
    if not paths:
        sys.exit(f"scripts/check-gpu: no model in {options.models}")
    ways = [*((PLAIN, gpu) for gpu in range(gpus)), (GRAPHS, 0), (TF32, 0)]
    for path in paths:
        opener = opener_of(path, options.device, options.max_batch)
        figures += check_model(path, ways if options.device == "cuda" else ways[:-1], opener, options, wrong)
    print(table(figures), end="\n\n", flush=True)
    print(f"server: {check_server(options.device, paths, wrong)}", flush=True)
    print(f"tests: {run_tests(wrong)}", flush=True)
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{'wrong' if wrong else 'right'}, after {time.monotonic() - began:.0f} s")
    return int(bool(wrong))


def about(device: str, gpus: int) -> str:
    """Versions and hardware, a line each."""
    lines = [f"onnxruntime {RUNTIME.get_version_string()}, Python {platform.python_version()}, {platform.machine()}"]
    if device == "cpu":
        return "\n".join(["A rehearsal on the CPU: these are not figures of a GPU.", *lines])
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        lines += subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        lines.append(f"nvidia-smi failed: {error}")
    return "\n".join([*lines, f"usable GPUs: {gpus}"])


def newest(models: Path) -> list[Path]:
    """The highest version of each model."""
    found: dict[str, Path] = {}
    paths = [path for path in models.glob("*/*/model.onnx") if path.parent.name.isdecimal()]
    for path in sorted(paths, key=lambda path: (path.parent.parent.name, int(path.parent.name))):
        found[path.parent.parent.name] = path
    return list(found.values())


def opener_of(path: Path, device: str, max_batch: int) -> Callable[[Way, int], Session]:
    """A function that opens a model one way on one GPU; in a rehearsal, on the CPU."""

    def on_gpu(way: Way, gpu: int) -> Session:
        return open_on_gpu(path, CudaOptions(max_batch, graphs=way.graphs, tf32=way.tf32), gpu)

    def on_cpu(way: Way, gpu: int) -> Session:
        return BucketSession(load(path, CPU), ("cpu", gpu), max_batch=max_batch, graphs=way.graphs)

    return on_gpu if device == "cuda" else on_cpu


def check_model(
    path: Path,
    ways: Sequence[tuple[Way, int]],
    opener: Callable[[Way, int], Session],
    options: argparse.Namespace,
    wrong: list[str],
) -> list[Figures]:
    """Errors and times of every bucket; each failure is appended to ``wrong``.

    Args:
        path: The ``model.onnx``.
        ways: Each with the index of a GPU; index 0 is timed.
        opener: Opens the model one way on one GPU.
        options: ``max_batch``, and the ``seconds`` for which one bucket is timed.
        wrong: Lines that say what is wrong.
    """
    model = "/".join(path.parts[-3:-1])
    rows = {size: Figures(model, size) for size in bucket_sizes(options.max_batch)}
    truth = CpuSession(path)
    image = truth.metadata.image
    shape = image.channels, image.height, image.width
    expected = [(images, truth.run(images)) for images in batches(options.max_batch, shape)]
    for way, gpu in ways:
        title = f"{model}, {way.name}, GPU {gpu}"
        errors = dict.fromkeys(rows, 0.0)
        try:
            session = opener(way, gpu)
            for images, arrays in expected:
                size = len(images) + session.padding(len(images))
                errors[size] = float(np.maximum(errors[size], largest_error(session.run(images), arrays)))
            for size, row in rows.items():
                row.errors[way] = float(np.maximum(errors[size], row.errors.get(way, 0.0)))
                if gpu == 0:
                    images = np.random.default_rng(size).integers(0, 256, (size, *shape), np.uint8)
                    row.times_ms[way] = median_ms(session, images, options.seconds)
        except Exception as error:  # the runtime's errors share no base class; the other ways are still checked
            wrong.append(f"{title}: {' '.join(str(error).split())}")
            continue
        for size, largest in errors.items():
            if way is not TF32 and not largest <= BOUND:  # also true for NaN
                wrong.append(f"{title}, batch {size}: error at most {BOUND:.0e}, got {largest:.1e}")
    return list(rows.values())


def batches(max_batch: int, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Random, even grey, black and white images, in batches that fill each bucket or are one too small."""
    random = np.random.default_rng(0)
    for size in sorted({size - missing for size in bucket_sizes(max_batch) for missing in (0, 1)} - {0}):
        yield random.integers(0, 256, (size, *shape), np.uint8)
        levels = random.integers(1, 255, (size, *([1] * len(shape))), np.uint8)
        for even in (levels, 0, 255):
            yield np.broadcast_to(np.asarray(even, np.uint8), (size, *shape))


def largest_error(found: Arrays, truth: Arrays) -> float:
    """The largest error of all outputs; that of poses is relative to their largest element where above 1."""
    errors = []
    for name, values in truth.items():
        if found[name].shape != values.shape:
            return math.inf
        unit = max(1.0, float(np.abs(values).max())) if name.endswith("poses") else 1.0
        errors.append(float(np.abs(found[name] - values).max()) / unit)
    return float(np.max(errors))


def median_ms(session: Session, images: NDArray[np.uint8], seconds: float) -> float:
    """Median milliseconds of a run, after three that do not count."""
    times: list[float] = []
    while len(times) < 8 or sum(times) < seconds:
        began = time.perf_counter()
        session.run(images, SERVED)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times[3:]))


def table(figures: Sequence[Figures]) -> str:
    """A Markdown table of the largest errors and the times."""
    lines = [
        "| model | batch | largest error | CUDA graphs | TF32 | ms | images/s | ms, graphs | images/s, graphs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures:
        cells = [row.model, str(row.batch)]
        cells += [f"{row.errors[way]:.1e}" if way in row.errors else "–" for way in (PLAIN, GRAPHS, TF32)]
        for way in (PLAIN, GRAPHS):
            time_ms = row.times_ms.get(way)
            cells += ["–", "–"] if time_ms is None else [f"{time_ms:.2f}", f"{1e3 * row.batch / time_ms:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def check_server(device: str, paths: Sequence[Path], wrong: list[str]) -> str:
    """Compare the server's answers on the device with those on the CPU, without and with CUDA graphs."""
    pictures = sorted((ROOT / "examples").glob("*.png"))
    common = {"MATCAPS_MODELS": str(paths[0].parents[2].absolute()), "MATCAPS_DEFAULT_MODEL": paths[0].parts[-3]}
    wanted = {CUDA if device == "cuda" else CPU}
    try:
        expected, _ = ask_server(pictures, {**common, "MATCAPS_DEVICE": "cpu"})
        for graphs in ("false", "true"):
            settings = {**common, "MATCAPS_DEVICE": device, "MATCAPS_CUDA_GRAPHS": graphs}
            answers, providers = ask_server(pictures, settings)
            if providers != wanted:
                wrong.append(f"expected the server on {', '.join(sorted(wanted))}, got {', '.join(sorted(providers))}")
            for key, activations in answers.items():
                error = max(abs(value - expected[key][name]) for name, value in activations.items())
                if not error <= BOUND:
                    wrong.append(
                        f"server, {key[0]}, {key[1]}, CUDA graphs {graphs}: error at most {BOUND:.0e}, got {error:.1e}"
                    )
    except ServerError as error:
        wrong.append(str(error))
        return "failed"
    return f"{len(expected)} answers on the CPU, and twice as many on the device ({', '.join(sorted(wanted))})"


def run_tests(wrong: list[str]) -> str:
    """Run the service's tests if what they import is installed."""
    missing = [name for name in TESTS if find_spec(name) is None]
    if missing:
        return f"not run; not installed: {', '.join(missing)}"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", *SERVICE_TESTS]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TESTS_S, check=False)
    except subprocess.TimeoutExpired:
        wrong.append(f"the tests: at most {TESTS_S:.0f} s allowed")
        return "failed"
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    if done.returncode:
        wrong.append(f"the tests: {last}")
    return last


if __name__ == "__main__":
    sys.exit(main())
