"""The memory that one forward or training step takes at its peak, in a process of its own.

On a CPU it is the resident set at its peak during the step, less the resident set of the process at rest: with
everything imported, the network or the session made, and one forward of a single image done. Weights, libraries and
thread pools are therefore no part of it; activations, votes, gradients and workspaces are. Linux forgets the peak of
before when asked to; elsewhere the peak so far stands for the rest, and the figure is a lower bound.
On a GPU it is the peak of torch's own account of what is allocated, less what was allocated at rest.
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
    """What a step takes at its peak."""

    preset: Preset
    device: str
    step: Step
    implementation: str
    batch: int
    """The largest that was wanted, or that the implementation takes."""
    mib: float
    mib_per_image: float


def measure_memory(presets: tuple[Preset, ...], batch: int, threads: int, graphs: Graphs) -> Iterator[Memory]:
    """Measure every implementation on each device, each step in a fresh process."""
    cases = [
        (preset, device, step, name)
        for preset in presets
        for device in devices()
        for name, implementation in IMPLEMENTATIONS.items()
        for step in implementation.steps
        if not (implementation.exported and device != "cpu")
    ]
    # Each process is the fork of one that did nothing but import this file: as fresh as a new one, and there sooner.
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
    """Peak of one step over this process at rest, as the head of the file has it; meant for a fresh process.

    ``graph`` is the file for onnxruntime, if the implementation is an exported one.
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
