"""The metrics of the engine and of all its HTTP workers as one."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

# A sample of one process: metric, sample, labels, value.
Counts = dict[tuple[str, str, tuple[tuple[str, str], ...]], float]


def pack_counts(registry: Collector) -> bytes:
    """The samples of a registry, for another process."""
    rows: list[list[Any]] = [
        [metric.name, sample.name, sorted(sample.labels.items()), sample.value]
        for metric in registry.collect()
        for sample in metric.samples
    ]
    return orjson.dumps(rows)


def add_counts(total: Counts, packed: bytes) -> None:
    """Add the samples of a process. Of the times of creation the first one stays."""
    for metric, sample, labels, value in orjson.loads(packed):
        key = metric, sample, tuple((name, text) for name, text in labels)
        if sample.endswith("_created"):
            total[key] = min(value, total.get(key, value))
        else:
            total[key] = total.get(key, 0.0) + value


class MergedMetrics(Collector):
    """The metrics of this process, with the counts of others added.

    Args:
        own: The registry of this process.
        others: The sum of the counts of other processes.
    """

    def __init__(self, own: Collector, others: Callable[[], Counts]) -> None:
        self._own, self._others = own, others

    def collect(self) -> Iterator[Metric]:
        others = self._others()
        for metric in self._own.collect():
            mine: Counts = {
                (metric.name, sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for sample in metric.samples
            }
            theirs = {key: value for key, value in others.items() if key[0] == metric.name}
            yield _metric(metric, mine, theirs) if theirs else metric


def _metric(like: Metric, mine: Counts, theirs: Counts) -> Metric:
    merged = Metric(like.name, like.documentation, like.type, like.unit)
    for key in _ordered([*mine, *theirs]):
        _, name, labels = key
        values = [counts[key] for counts in (mine, theirs) if key in counts]
        merged.add_sample(name, dict(labels), min(values) if name.endswith("_created") else sum(values))
    return merged


def _ordered(keys: Iterable[Any]) -> list[Any]:
    """Each key once, in the order of the first: buckets must stay in theirs."""
    return list(dict.fromkeys(keys))
