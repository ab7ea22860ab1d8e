"""``scripts/check-reloads``: a model that the C++ kernel serves is loaded again many times; memory stays flat."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import onnx
import torch
import tyro
from tqdm import tqdm

from benchmarks.harness.client import Answer, Request, ask
from benchmarks.harness.process import START_S, Process, memory_mib
from benchmarks.harness.servers import matcaps
from benchmarks.harness.trivial import png
from matcaps.model import CapsNet, tiny
from matcaps.model.export import export
from matcaps.model.pretrained import contents

GROWTH = 0.02
NAME = "tiny"
PREDICT = Request("/predict", png(), {"content-type": "image/png"})


def check(times: int = 1000) -> None:
    """Load a model again and again; exit with 1 if memory grows or the kernel does not serve it.

    After each load the kernel is compared with onnxruntime anew, and then answers a request. Memory is the private
    memory of the process. It may grow by 2 % from the second tenth of the loads to the last one.

    Args:
        times: how often the model is loaded again
    """
    if times < 20:
        sys.exit(f"scripts/check-reloads: times must be at least 20, got {times}")
    with tempfile.TemporaryDirectory() as name:
        write_version(Path(name) / NAME / "1")
        options = (
            "--log-level=error",
            f"--default-model={NAME}",
            "--cpu-kernel=auto",
            "--device=cpu",
            "--model-control",
        )
        with matcaps(*options).launch(Path(name)) as process:
            process.wait_until_ready()
            samples = [_reload(process) for _ in tqdm(range(times), desc="reloads", unit="load")]
    tenth = times // 10
    before, after = statistics.median(samples[tenth : 2 * tenth]), statistics.median(samples[-tenth:])
    print(f"memory: {before:.1f} MiB in the second tenth of {times} loads, {after:.1f} MiB in the last one", end="")
    print(f" ({after / before - 1:+.2%}); from {min(samples):.1f} to {max(samples):.1f} MiB in all of them")
    if grown := after > before * (1 + GROWTH):
        print(f"BROKEN: at most {GROWTH:.0%} growth of memory, got {after / before - 1:.2%}")
    sys.exit(grown)


def write_version(folder: Path) -> None:
    """A version's folder with all files that the kernel needs: the smallest network, untrained."""
    torch.manual_seed(0)
    network = CapsNet(tiny()).eval()
    folder.mkdir(parents=True)
    onnx.save(export(network), folder / "model.onnx")
    for name, content in contents(network.config, network.state_dict()).items():
        (folder / name).write_bytes(content)


def _reload(process: Process) -> float:
    """Load the model again, wait for the kernel, predict once, and return the memory in MiB."""
    _ask(process, Request(f"/v2/repository/models/{NAME}/load", b"{}", {"content-type": "application/json"}))
    until = time.monotonic() + START_S
    while (backend := _ask(process, Request(f"/models/{NAME}")).json["backend"])["name"] != "routing-kernel":
        if time.monotonic() > until:
            sys.exit(f"BROKEN: the kernel does not serve the model after {START_S:.0f} s: {backend['reason']}")
        time.sleep(0.01)
    _ask(process, PREDICT)
    return memory_mib(process.pid)


def _ask(process: Process, request: Request) -> Answer:
    answer = ask(process.port, request)
    if answer.status != 200:
        sys.exit(f"BROKEN: {request.path} answered {answer.status}: {answer.body[:200]!r}; {process.output()[-800:]}")
    return answer


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-reloads")
