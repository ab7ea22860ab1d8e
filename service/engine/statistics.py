"""What a version has run so far, as Triton's statistics extension tells it."""

import threading
import time
from collections.abc import Sequence
from typing import Any


class Statistics:
    """An observer of one version's batches, and of its requests that fail. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._images = self._batches = 0
        self._queue_s = self._inference_s = 0.0
        self._last_ms = 0
        self._failed, self._failed_s = 0, 0.0
        self._by_size: dict[int, tuple[int, float]] = {}

    def batch(
        self, *, images: int, padding: int, waits_s: Sequence[float], taken_s: float, origins: Sequence[Any]
    ) -> None:
        """One batch has run."""
        with self._lock:
            self._requests += len(waits_s)
            self._images += images
            self._batches += 1
            self._queue_s += sum(waits_s)
            self._inference_s += taken_s
            self._last_ms = time.time_ns() // 1_000_000
            count, seconds = self._by_size.get(images, (0, 0.0))
            self._by_size[images] = (count + 1, seconds + taken_s)

    def failed(self, taken_s: float) -> None:
        """A request was let in and not answered, after so long."""
        with self._lock:
            self._failed += 1
            self._failed_s += taken_s

    def as_json(self) -> dict[str, Any]:
        """The protocol's fields; durations in nanoseconds."""
        with self._lock:
            return {
                "last_inference": self._last_ms,
                "inference_count": self._images,
                "execution_count": self._batches,
                "inference_stats": {
                    "success": _duration(self._requests, self._queue_s + self._inference_s),
                    "fail": _duration(self._failed, self._failed_s),
                    "queue": _duration(self._requests, self._queue_s),
                    "compute_infer": _duration(self._batches, self._inference_s),
                },
                "batch_stats": [
                    {"batch_size": size, "compute_infer": _duration(count, seconds)}
                    for size, (count, seconds) in sorted(self._by_size.items())
                ],
            }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(1e9 * seconds)}
