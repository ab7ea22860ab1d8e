"""The machine, the versions and the commit of a report."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from matcaps.kernels.library import widest
from matcaps.model.kernels import cpu
from matcaps.training.engine.provenance import commit
from matcaps.training.release import runtime

PROCESSORS = Path("/proc/cpuinfo")


def devices() -> list[str]:
    """Torch's devices that are measured: the CPU, and the GPU if there is one."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def places(threads: tuple[int, ...]) -> list[tuple[str, int | None]]:
    """Devices and threads: the CPU with each number of threads, and the GPU with None."""
    return [("cpu", number) for number in threads] + [(device, None) for device in devices()[1:]]


@dataclass(frozen=True)
class Machine:
    """Where, when and with which code something was measured."""

    processor: str
    cores: int
    load: float
    """Load average of the minute before: other work on the machine changes the figures."""
    gpu: str | None
    system: str
    python: str
    torch: str
    onnxruntime: str
    kernel: str
    """The CPU kernel's vector width, or none where plain PyTorch replaces it."""
    commit: str
    date: str

    @classmethod
    def here(cls) -> "Machine":
        """This machine, now."""
        return cls(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            load=round(os.getloadavg()[0], 1),
            gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            system=platform.platform(terse=True),
            python=platform.python_version(),
            torch=torch.__version__,
            onnxruntime=runtime.VERSION,
            kernel=f"C++, vectors of {widest()} bits" if cpu.available() else "none",
            commit=commit(),
            date=datetime.now(UTC).isoformat(timespec="minutes"),
        )

    def __str__(self) -> str:
        versions = f"Python {self.python}, torch {self.torch}, onnxruntime {self.onnxruntime}"
        processor = f"{self.processor}, {self.cores} cores" + (f", {self.gpu}" if self.gpu else "")
        origin = f"commit {self.commit}, {self.date[:10]}"
        return f"{processor}; load before: {self.load}; kernel: {self.kernel}; {versions}; {origin}"


def _processor() -> str:
    if PROCESSORS.exists():
        for line in PROCESSORS.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
