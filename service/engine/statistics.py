"""The statistics of a version, as Triton's statistics extension reports them."""

import threading
import time
from typing import Any

from matcaps.service.telemetry.batches import BatchReport


class Statistics:
    """Counts the batches of one version, and its requests that fail. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._images = self._batches = 0
        self._queue_s = self._inference_s = 0.0
        self._last_ms = 0
        self._failed, self._failed_s = 0, 0.0
        self._by_size: dict[int, tuple[int, float]] = {}

    def observe(self, batch: BatchReport) -> None:
        """Count a batch."""
        with self._lock:
            self._requests += len(batch.waits_s)
            self._images += batch.images
            self._batches += 1
            self._queue_s += sum(batch.waits_s)
            self._inference_s += batch.inference_s
            self._last_ms = time.time_ns() // 1_000_000
            count, seconds = self._by_size.get(batch.images, (0, 0.0))
            self._by_size[batch.images] = (count + 1, seconds + batch.inference_s)

    def failed(self, taken_s: float) -> None:
        """Count a request that was admitted and then failed after so many seconds."""
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
                    **_compute(self._batches, self._inference_s),
                },
                "batch_stats": [
                    {"batch_size": size, **_compute(count, seconds)}
                    for size, (count, seconds) in sorted(self._by_size.items())
                ],
            }


def _compute(count: int, seconds: float) -> dict[str, dict[str, int]]:
    """The three parts of a run. Copies belong to the run itself; perf_analyzer needs the same count for each part."""
    return {
        "compute_input": _duration(count, 0.0),
        "compute_infer": _duration(count, seconds),
        "compute_output": _duration(count, 0.0),
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(1e9 * seconds)}
