"""A network on the CPU: one thread per batch, and all threads together for a single image.

onnxruntime runs the whole file. Once ``use`` was called, it runs the layers below routing, and the C++ kernel the rest.
"""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import ASSIGNMENTS
from matcaps.service.backends.onnx import CPU, RUNTIME, black_and_white, load, warm_up
from matcaps.service.backends.routed import RoutedNetwork
from matcaps.service.backends.session import ONNXRUNTIME, ROUTING_KERNEL, Arrays, Backend
from matcaps.service.cores import usable_cores

PIECE = 4  # images; the activations of more do not fit into a core's cache, and each image takes longer


class CpuSession:
    """Runs as many batches at once as there are threads.

    Threads that share an operator wait for the slowest of them. Any other work on a core, such as the event loop's,
    then delays all of them. Batches with a thread each are hardly delayed. Only an image that runs while nothing else
    does gets all threads together, because that takes the least time.

    onnxruntime computes all outputs of a graph in every run. So most requests run a graph without the assignments of
    convolutional layers; the whole graph, with one thread, is for those who ask for them.

    Args:
        path: The ``model.onnx``.
        threads: Inference threads; 0 uses one per core that this process may run on.
        runtime: The onnxruntime module, or a test double.

    Raises:
        ValueError: The file is damaged, breaks the contract, or its outputs are not finite.
    """

    provider = CPU

    def __init__(self, path: Path, threads: int = 0, runtime: Any = RUNTIME) -> None:
        self.workers = threads or usable_cores()
        whole = load(path, CPU, threads=1, runtime=runtime)
        self.metadata, self._outputs, self._whole = whole.metadata, whole.outputs, whole.session
        self._seldom = [name for name in ASSIGNMENTS if name in whole.outputs]
        single = load(path, CPU, threads=1, without=self._seldom, runtime=runtime) if self._seldom else whole
        together = single
        if self.workers > 1:
            together = load(path, CPU, threads=self.workers, without=self._seldom, runtime=runtime)
        self._single_thread, self._all_threads = single.session, together.session
        self.backend = Backend(ONNXRUNTIME, "")
        self._routed: RoutedNetwork | None = None
        self._lock = threading.Lock()
        self._running = 0
        for size in (1, 2):
            images = black_and_white(self.metadata, size)
            warm_up(self.run, images)
            warm_up(partial(self.run, outputs=self.metadata.usual_outputs()), images)

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = self._outputs if outputs is None else list(outputs)
        with self._lock:
            alone = len(images) == 1 and not self._running
            self._running += 1
            routed = self._routed
            session = self._all_threads if alone else self._single_thread
            if not set(self._seldom).isdisjoint(names):
                session = self._whole
        try:
            if routed is not None:
                return routed.run(images, names, alone=alone)
            run = session.run
            pieces = [run(names, {"images": images[at : at + PIECE]}) for at in range(0, len(images), PIECE)]
        finally:
            with self._lock:
                self._running -= 1
        found = pieces[0] if len(pieces) == 1 else [np.concatenate(values) for values in zip(*pieces, strict=True)]
        return dict(zip(names, found, strict=True))

    def use(self, routed: RoutedNetwork) -> None:
        """Run the next batches by the kernel, and free onnxruntime's sessions; the caller has compared its answers."""
        with self._lock:
            self._routed = routed
            self._whole = self._single_thread = self._all_threads = None
        self.backend = Backend(ROUTING_KERNEL, "")

    def keep_onnxruntime(self, reason: str) -> None:
        """Say why onnxruntime runs the whole network."""
        self.backend = Backend(ONNXRUNTIME, reason)

    def padding(self, images: int) -> int:
        return 0
