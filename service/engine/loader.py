"""From a model file to a model version whose networks run in threads of this process."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matcaps.service.backends.session import Session
from matcaps.service.engine.batcher import Batcher
from matcaps.service.engine.model_version import ModelVersion
from matcaps.service.engine.queue import Queue
from matcaps.service.engine.statistics import Statistics
from matcaps.service.settings import Settings
from matcaps.service.telemetry.batches import BatchObserver

# Starts a version, given its model's name, its number, its file and the observers of its batches.
# Raises ValueError with the reason if the file cannot be served, and StartError if the device fails.
ModelLoader = Callable[[str, int, Path, Sequence[BatchObserver]], ModelVersion]
# Opens a model file: one session for each device. Raises as above.
Load = Callable[[Path], Sequence[Session]]


def local_loader(settings: Settings, open_file: Load, clock: Callable[[], float]) -> ModelLoader:
    """A loader of versions that run in this process; each session gets a batcher with threads of its own."""

    def load(name: str, version: int, path: Path, observers: Sequence[BatchObserver]) -> ModelVersion:
        statistics = Statistics()
        sessions = open_file(path)
        batchers = start_batchers(settings, sessions, [*observers, statistics], clock)
        first = sessions[0]
        return ModelVersion(name, version, first.metadata, first.provider, batchers, statistics, lambda: first.backend)

    return load


def start_batchers(
    settings: Settings, sessions: Sequence[Session], observers: Sequence[BatchObserver], clock: Callable[[], float]
) -> list[Batcher]:
    """A batcher for each session."""
    return [Batcher(session, queue_of(settings), clock, observers) for session in sessions]


def opener_of(settings: Settings) -> Load:
    """A function that opens a model file with the device and the options of the settings."""
    # Here, because HTTP workers import this file and need no onnxruntime.
    from matcaps.service.backends.cuda import CudaOptions
    from matcaps.service.backends.open import open_sessions

    cuda = CudaOptions(settings.max_batch, settings.cuda_graphs, settings.tf32, settings.gpu_memory_mib)
    return lambda path: open_sessions(
        path, settings.device, settings.threads, cuda=cuda, cpu_kernel=settings.cpu_kernel
    )


def queue_of(settings: Settings) -> Queue:
    """A queue with the limits of the settings."""
    return Queue(max_batch=settings.max_batch, max_wait_s=settings.max_wait_ms / 1e3, max_waiting=settings.max_queue)
