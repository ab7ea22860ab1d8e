"""How a version is made ready to serve: by networks in this process, where nobody hands in another way."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.cuda import CudaOptions
from matcaps.service.backends.open import open_sessions
from matcaps.service.backends.session import Session
from matcaps.service.engine.batcher import Batcher, Observer
from matcaps.service.engine.model_version import ModelInstance
from matcaps.service.engine.queue import Queue
from matcaps.service.settings import Settings


class Ready(NamedTuple):
    """What a version is, and what runs it.

    Attributes:
        metadata: What the file says of itself.
        provider: Where it runs.
        networks: One for each device.
    """

    metadata: Metadata
    provider: str
    networks: Sequence[ModelInstance]


# Makes the version of a name ready, from its file; ValueError says why not. The observers hear of its batches.
ModelLoader = Callable[[str, int, Path, Sequence[Observer]], Ready]
Load = Callable[[Path], Sequence[Session]]


def ready_here(settings: Settings, load: Load, clock: Callable[[], float]) -> ModelLoader:
    """Versions on networks of this process, each of which batches in threads of its own.

    Args:
        settings: What was set.
        load: The networks of a model file, one for each device; ValueError says why there are none.
        clock: Seconds that only grow.
    """

    def make_ready(name: str, version: int, path: Path, observers: Sequence[Observer]) -> Ready:
        sessions = load(path)
        networks = [Batcher(session, queue_of(settings), clock, observers) for session in sessions]
        return Ready(sessions[0].metadata, sessions[0].provider, networks)

    return make_ready


def load_as_set(settings: Settings) -> Load:
    """Loads a model file on the devices and with the options that were set."""
    cuda = CudaOptions(settings.max_batch, settings.cuda_graphs, settings.tf32, settings.gpu_memory_mib)
    return lambda path: open_sessions(path, settings.device, settings.threads, cuda=cuda)


def queue_of(settings: Settings) -> Queue:
    """A queue with the limits that were set."""
    return Queue(max_batch=settings.max_batch, max_wait_s=settings.max_wait_ms / 1e3, max_waiting=settings.max_queue)
