"""Prometheus metrics of requests, queues, batches and models."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from matcaps.service.telemetry.batches import BatchReport

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = tuple(2**power for power in range(11))


class LoadedVersion(Protocol):
    """A version of a model, as far as the gauges show it."""

    name: str
    version: int

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet."""
        ...

    @property
    def backend(self) -> tuple[str, str]:
        """What runs it, and why not the routing kernel."""
        ...


class Models(Protocol):
    """The versions that serve, and name, version and reason of each file that is refused."""

    @property
    def loaded(self) -> Sequence[LoadedVersion]: ...

    @property
    def refused(self) -> Sequence[tuple[str, int | str, str]]: ...


class Metrics:
    """All metrics of one service, in their own registry. Thread-safe.

    Args:
        of_process: Whether the metrics of this process and of Python are there too.
    """

    def __init__(self, of_process: bool = True) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector) if of_process else ():
            collector(registry=self.registry)

        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(name, help_, labels, registry=self.registry)

        def histogram(name: str, help_: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, help_, labels, buckets=buckets, registry=self.registry)

        self.requests = counter("matcaps_requests", "Requests answered", "route", "model", "status")
        self.request_seconds = histogram(
            "matcaps_request_seconds", "Time from the headers to the answer", SECONDS, "route"
        )
        # The children of both, because to find them takes longer than to count.
        self._of_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.unanswered = counter("matcaps_refusals", "Requests that were rejected or failed", "reason")
        self.images = counter("matcaps_images", "Samples that a network ran", "model")
        self.padding = counter("matcaps_padding", "Rows that were added to fill a batch", "model")
        self.batch_images = histogram("matcaps_batch_images", "Samples per batch", SIZES, "model")
        self.queue_seconds = histogram(
            "matcaps_queue_seconds", "Time that a request waited for a batch", SECONDS, "model"
        )
        self.inference_seconds = histogram("matcaps_inference_seconds", "Time that a batch ran", SECONDS, "model")
        self.poses_lost = counter("matcaps_poses_lost", "Predictions whose poses could not be kept")
        self.workers_replaced = counter("matcaps_http_workers_replaced", "HTTP workers that died and were replaced")
        self.load_failures = counter(
            "matcaps_model_load_failures", "Model files that could not be served", "model", "version"
        )

    def answered(self, route: str, model: str, status: int, taken_s: float) -> None:
        """Count a request that has been answered, and its time."""
        of = route, model, status
        if of not in self._of_requests:
            self._of_requests[of] = self.requests.labels(*of), self.request_seconds.labels(route)
        requests, seconds = self._of_requests[of]
        requests.inc()
        seconds.observe(taken_s)

    def watch(self, models: Callable[[], Models]) -> None:
        """Read the queues and the states of all models each time the metrics are collected."""
        self.registry.register(_ModelGauges(models))


def expose(registry: Collector, accept: str) -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, or in OpenMetrics if the client accepts it, and their media type."""
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class BatchMetrics:
    """An observer of one model's batches."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._images = metrics.images.labels(model)
        self._padding = metrics.padding.labels(model)
        self._batch_images = metrics.batch_images.labels(model)
        self._queue_seconds = metrics.queue_seconds.labels(model)
        self._inference_seconds = metrics.inference_seconds.labels(model)

    def observe(self, batch: BatchReport) -> None:
        self._images.inc(batch.images)
        self._padding.inc(batch.padding)
        self._batch_images.observe(batch.images)
        self._inference_seconds.observe(batch.inference_s)
        for wait_s in batch.waits_s:
            self._queue_seconds.observe(wait_s)


class _ModelGauges(Collector):
    """Gauges that are computed when the metrics are collected."""

    def __init__(self, models: Callable[[], Models]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        models = self._models()
        yield _gauge(
            "matcaps_queue_images",
            "Samples that wait in the queue",
            ["model", "version"],
            (([version.name, str(version.version)], version.waiting) for version in models.loaded),
        )
        yield _gauge(
            "matcaps_model_backend",
            "What runs a model version, and why not the routing kernel",
            ["model", "version", "backend", "reason"],
            (([version.name, str(version.version), *version.backend], 1) for version in models.loaded),
        )
        states = [([version.name, str(version.version), "serving"], 1) for version in models.loaded]
        states += [([name, str(version), "refused"], 1) for name, version, _ in models.refused]
        yield _gauge("matcaps_model", "Model versions by state", ["model", "version", "state"], states)


def _gauge(name: str, help_: str, labels: list[str], values: Iterable[tuple[list[str], float]]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, help_, labels=labels)
    for of, value in values:
        gauge.add_metric(of, value)
    return gauge
