"""What observers learn about each batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class BatchReport(NamedTuple):
    """One batch that a network has run.

    Attributes:
        images: Samples in the batch.
        padding: Rows that filled up the batch; their results are discarded.
        waits_s: Seconds in the queue, of each request whose first sample is in this batch.
        inference_s: Seconds that the network took.
        trace_links: Span contexts of the requests with samples in the batch; only of requests that are traced.
    """

    images: int
    padding: int
    waits_s: Sequence[float]
    inference_s: float
    trace_links: Sequence[Any] = ()


class BatchObserver(Protocol):
    """Counts or records batches."""

    def observe(self, batch: BatchReport) -> None:
        """Called after each batch, in the thread that ran it."""
        ...
