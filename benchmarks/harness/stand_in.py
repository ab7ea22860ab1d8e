"""This service over a device that sleeps: ``python -m benchmarks.harness.stand_in PORT MODELS``.

The device's time is known, so the rest is the time of the service.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from benchmarks.harness.trivial import elements, metadata_values, output_shapes
from matcaps.service.app import create_app
from matcaps.service.backends.artefact import Metadata
from matcaps.service.backends.session import ONNXRUNTIME, Backend
from matcaps.service.server import Server, listen, reserve
from matcaps.service.settings import Settings
from matcaps.service.telemetry.logs import configure
from matcaps.service.workers.supervisor import Supervisor


class Sleeper:
    """A session with the trivial network's answers that takes ``fixed_ms`` a batch and ``image_ms`` an image."""

    provider = "stand-in"
    backend = Backend(ONNXRUNTIME, "")
    workers = 1

    def __init__(self, fixed_ms: float, image_ms: float) -> None:
        self.metadata = Metadata.model_validate(metadata_values())
        self._fixed_s, self._image_s = fixed_ms / 1e3, image_ms / 1e3

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> Mapping[str, NDArray[np.float32]]:
        until = time.perf_counter() + self._fixed_s + self._image_s * len(images)
        shapes = output_shapes()
        means = images.reshape(len(images), -1).mean(1, dtype=np.float32)
        answer = {
            name: (means.reshape(-1, *([1] * len(shapes[name]))) + elements(shapes[name])) * np.float32(1e-3)
            for name in outputs or shapes
        }
        time.sleep(max(0.0, until - time.perf_counter()))
        return answer

    def padding(self, images: int) -> int:
        return 0


def build(settings: Settings, sleeper: Sleeper) -> FastAPI:
    """The service over the stand-in; the model files are not opened."""
    log = configure(settings.log_format, settings.log_level)
    return create_app(settings, lambda _: [sleeper], log=log)


def best_images_per_s(fixed_ms: float, image_ms: float, batch: int) -> float:
    """The device's throughput when it never waits.

    >>> best_images_per_s(20.0, 5.0, batch=16)
    160.0
    """
    return 1e3 * batch / (fixed_ms + image_ms * batch)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser("python -m benchmarks.harness.stand_in", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("models", type=Path, help="folder of NAME/VERSION/model.onnx; the files are not opened")
    parser.add_argument("--fixed-ms", type=float, default=2.0, help="time of a batch")
    parser.add_argument("--image-ms", type=float, default=0.1, help="time that each image adds")
    parser.add_argument("--max-batch", type=int, default=8, help="largest batch")
    parser.add_argument("--max-queue", type=int, default=512, help="images that may wait")
    parser.add_argument("--http-workers", type=int, default=1, help="processes that speak HTTP")
    options = parser.parse_args()
    settings = Settings(
        port=options.port,
        models=options.models,
        max_batch=options.max_batch,
        max_queue=options.max_queue,
        http_workers=options.http_workers,
    )
    sleeper = Sleeper(options.fixed_ms, options.image_ms)
    if settings.http_workers > 1:
        configure(settings.log_format, settings.log_level)
        bound = reserve(settings.host, settings.port)
        Supervisor(settings, lambda _: [sleeper]).serve_until_told(bound, lambda _: None)
    else:
        Server(build(settings, sleeper), settings).serve_until_told(listen(settings.host, settings.port))


if __name__ == "__main__":
    main()
