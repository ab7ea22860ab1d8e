"""The protocol between batches and what runs them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.artefact import Metadata

Arrays = Mapping[str, NDArray[np.float32]]


ONNXRUNTIME, ROUTING_KERNEL = "onnxruntime", "routing-kernel"


class Backend(NamedTuple):
    """What runs a network: onnxruntime alone, or onnxruntime below routing and the C++ kernel for routing."""

    name: str
    reason: str
    """Why the kernel does not run; empty where it does, or where nobody asked for it."""


class Session(Protocol):
    """A network that is loaded on one device and warm."""

    metadata: Metadata
    provider: str
    """The execution provider of onnxruntime that is in use."""
    backend: Backend
    workers: int
    """The number of threads that may call ``run`` at the same time."""

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        """Outputs by name (None: all) for images [batch, channels, height, width]; blocks until they are computed."""
        ...

    def padding(self, images: int) -> int:
        """The number of rows that fill up a batch of this size; their results are discarded."""
        ...
