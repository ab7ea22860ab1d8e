"""The peak memory of one forward or training step, in a process of its own.

On a CPU it is the peak resident set during the step, minus the resident set at rest. At rest everything is imported,
the network or the session is made, and one image has been through it. Weights, libraries and thread pools are
therefore left out; activations, votes, gradients and workspaces count. Linux can reset the peak. Elsewhere the peak
so far is taken for the resident set at rest, so the figure is a lower bound.
On a GPU it is torch's peak of allocated memory, minus what was allocated at rest.
"""

import contextlib
import gc
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from tqdm import tqdm

from benchmarks.machine import devices
from benchmarks.routing.implementations import IMPLEMENTATIONS, Preset, Step, action, build, examples
from benchmarks.routing.times import Graphs
from matcaps.training.release.runtime import Graph

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Memory:
    """The peak memory of a step."""

    preset: Preset
    device: str
    step: Step
    implementation: str
    batch: int
    """The largest wanted batch, or the implementation's largest."""
    mib: float
    mib_per_image: float


def measure_memory(presets: tuple[Preset, ...], batch: int, threads: int, graphs: Graphs) -> Iterator[Memory]:
    """Measure every implementation on each device, each step in a new process."""
    cases = [
        (preset, device, step, name)
        for preset in presets
        for device in devices()
        for name, implementation in IMPLEMENTATIONS.items()
        for step in implementation.steps
        if not (implementation.exported and device != "cpu")
    ]
    # Each process is forked from one that has only imported this file: as clean as a new one, and faster to start.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes,
    ):
        for preset, device, step, name in tqdm(cases, desc="memory", unit="process"):
            number = IMPLEMENTATIONS[name].batch(step, batch)
            graph = Path(folder) / f"{preset} {name}.onnx"
            if IMPLEMENTATIONS[name].exported and not graph.exists():
                graph.write_bytes(graphs[preset, name].SerializeToString())
            mib = processes.submit(mebibytes, preset, name, step, number, threads, device, graph).result()
            yield Memory(preset, device, step, name, number, mib, mib / number)


def mebibytes(preset: Preset, name: str, step: Step, batch: int, threads: int, device: str, graph: Path) -> float:
    """Peak memory of one step above this process at rest; call it once in a new process.

    ``graph`` is the file for onnxruntime if the implementation is exported.
    """
    torch.set_num_threads(threads)
    if IMPLEMENTATIONS[name].exported:
        session = Graph(onnx.load(graph), threads)
        session.run(examples(preset, 1)[0].numpy())
        images = examples(preset, batch)[0].numpy()
        rest = _rest(device)
        session.run(images)
    else:
        network = build(preset, name, device)
        action(network, "forward", *examples(preset, 1, device))()
        act = action(network, step, *examples(preset, batch, device))
        rest = _rest(device)
        act()
    return (_peak(device) - rest) / 2**20


def _rest(device: str) -> int:
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with contextlib.suppress(OSError):
        FORGET.write_text("5")  # proc(5): sets the peak back to what is resident now
    return _peak(device)


def _peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
