"""A network on the CPU: batches side by side on a thread each, and one image alone on all threads together."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.onnx import CPU, RUNTIME, Arrays, black_and_white, load, usable_cores, warm_up

PIECE = 4  # images; the activations of more leave a core's cache, and each takes longer


class CpuSession:
    """Runs as many batches at once as it has threads.

    Threads that share an operator all wait for the slowest of them. Whoever else wants a core, the service's own event
    loop included, holds all of them up; batches that run side by side hardly notice. An image that runs while nothing
    else does has the threads together, for the shortest time.

    Args:
        path: The ``model.onnx``.
        threads: Of inference; 0 takes one per core that this process may use.
        runtime: The onnxruntime module, or what stands for it in tests.

    Raises:
        ValueError: The file is damaged, breaks the contract, or answers numbers that are not finite.
    """

    provider = CPU

    def __init__(self, path: Path, threads: int = 0, runtime: Any = RUNTIME) -> None:
        self.workers = threads or usable_cores()
        side_by_side = load(path, CPU, threads=1, runtime=runtime)
        together = load(path, CPU, threads=self.workers, runtime=runtime) if self.workers > 1 else side_by_side
        self._side_by_side, self._together = side_by_side.session, together.session
        self.metadata, self._outputs = side_by_side.metadata, side_by_side.outputs
        self._lock = threading.Lock()
        self._running = 0
        for size in (1, 2):
            warm_up(self.run, black_and_white(self.metadata, size))

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = self._outputs if outputs is None else list(outputs)
        with self._lock:
            alone = len(images) == 1 and not self._running
            self._running += 1
        try:
            run = (self._together if alone else self._side_by_side).run
            pieces = [run(names, {"images": images[at : at + PIECE]}) for at in range(0, len(images), PIECE)]
        finally:
            with self._lock:
                self._running -= 1
        found = pieces[0] if len(pieces) == 1 else [np.concatenate(values) for values in zip(*pieces, strict=True)]
        return dict(zip(names, found, strict=True))

    def padding(self, images: int) -> int:
        return 0
