"""A network without a service: ``python -m benchmarks.serving.network_alone MODEL SECONDS BATCH...``."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matcaps.service.backends.onnx import CPU, load
from matcaps.service.backends.session import ONNXRUNTIME, Arrays, Backend, Session

SERVED = ["activations", "poses"]  # what /predict asks for


class Bare:
    """onnxruntime's own ``session.run``, on all cores."""

    provider = CPU
    backend = Backend(ONNXRUNTIME, "")
    workers = 1

    def __init__(self, path: Path) -> None:
        loaded = load(path, CPU)
        self.metadata, self._session = loaded.metadata, loaded.session

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Arrays:
        names = list(SERVED if outputs is None else outputs)
        return dict(zip(names, self._session.run(names, {"images": images}), strict=True))

    def padding(self, images: int) -> int:
        return 0


def images_per_s(session: Session, batch: int, seconds: float) -> float:
    """Images per second in batches of one size, one after the other."""
    image = session.metadata.image
    shape = (batch, image.channels, image.height, image.width)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    session.run(images, SERVED)
    began, done = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < seconds:
        session.run(images, SERVED)
        done += batch
    return done / taken


if __name__ == "__main__":
    network = Bare(Path(sys.argv[1]))
    print(json.dumps({batch: images_per_s(network, int(batch), float(sys.argv[2])) for batch in sys.argv[3:]}))
