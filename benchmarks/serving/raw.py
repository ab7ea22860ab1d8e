"""A network without a service: ``python -m benchmarks.serving.raw MODEL SECONDS BATCH …`` prints images a second."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from service.onnx_session import OnnxSession
from service.session import Session

SERVED = ["activations", "poses"]  # what /predict asks for


def images_per_s(session: Session, batch: int, seconds: float) -> float:
    """Images a second in batches of one size, one after the other."""
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
    network = OnnxSession(Path(sys.argv[1]))
    print(json.dumps({batch: images_per_s(network, int(batch), float(sys.argv[2])) for batch in sys.argv[3:]}))
