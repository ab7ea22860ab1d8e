"""OpenTelemetry: a span for each request, with a child for each step, and a span for each batch.

The packages of OpenTelemetry are an extra, and are imported only where a URL is set.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from matcaps.service.errors import StartError
from matcaps.service.telemetry.batches import BatchReport

STEPS = ("receive", "decode", "queue", "infer", "encode")
EXPORT_S = 5.0  # longest time that one export may take, and that ``close`` waits for the last ones


class Traced(Protocol):
    """What spans show of a request's context; times are seconds of one clock, 0 where a step did not happen."""

    model: str
    images: int
    reason: str
    decode_began_s: float
    decode_s: float
    queue_s: float
    inference_s: float


class RequestTrace:
    """The span of a request that is being answered."""

    def __init__(self, tracer: Any, span: Any, began_s: float, began_ns: int) -> None:
        self._tracer, self._span, self._began_s, self._began_ns = tracer, span, began_s, began_ns

    @property
    def link(self) -> Any:
        """The span context that the spans of batches link to."""
        return self._span.get_span_context()

    def end(self, request: Traced, route: str, status: int, now_s: float) -> None:
        """End the span, with a child for each step of the request."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        self._span.update_name(f"{self._span.name} {route}")
        known = {"http.route": route, "http.response.status_code": status}
        known |= {"matcaps.model": request.model, "matcaps.images": request.images, "matcaps.reason": request.reason}
        self._span.set_attributes({name: value for name, value in known.items() if value})
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        parent = set_span_in_context(self._span)
        for name, began_s, ended_s in spans_of(request, self._began_s, now_s):
            child = self._tracer.start_span(name, parent, start_time=self._at(began_s))
            child.end(self._at(ended_s))
        self._span.end(self._at(now_s))

    def _at(self, clock_s: float) -> int:
        return self._began_ns + round(1e9 * (clock_s - self._began_s))


class Traces:
    """Sends spans to a collector (OTLP over HTTP) from a thread of its own. Spans that cannot be sent are lost.

    Args:
        url: The collector's URL for traces, such as ``http://127.0.0.1:4318/v1/traces``.
        version: The version of the service.

    Raises:
        StartError: The packages are not installed.
    """

    def __init__(self, url: str, version: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise StartError(f"MATCAPS_TRACES_URL needs {error.name}: pip install 'matcaps[tracing]'") from None
        resource = Resource.create({"service.name": "matcaps", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=EXPORT_S)))
        self._tracer = self._provider.get_tracer("matcaps", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, headers: Mapping[str, str], began_s: float) -> RequestTrace:
        """Begin the span of a request; its parent is the span that the header ``traceparent`` names, if any.

        Args:
            method: GET, POST and so on.
            headers: The headers of the request; names in lower case.
            began_s: When the request began, on the clock of its context.
        """
        from opentelemetry.trace import SpanKind

        began_ns = time.time_ns()
        parent = self._propagator.extract(headers)
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, start_time=began_ns)
        return RequestTrace(self._tracer, span, began_s, began_ns)

    def observer(self, model: str) -> "BatchTraces":
        """An observer of a model's batches."""
        return BatchTraces(self._tracer, model)

    def close(self) -> None:
        """Send the spans that are left, and end; waits a few seconds at most if the collector does not answer."""
        # In a thread, because the SDK tries every export that is left, whatever its timeout.
        last = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(EXPORT_S)


def pack_link(link: Any) -> str:
    """A span context as a text for another process; empty for None."""
    return "" if link is None else f"{link.trace_id:032x}{link.span_id:016x}{int(link.trace_flags):02x}"


def unpack_link(text: str) -> Any:
    """The span context that ``pack_link`` made a text of."""
    if not text:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(text[:32], 16), int(text[32:48], 16), True, TraceFlags(int(text[48:], 16)))


class BatchTraces:
    """A span for each batch, with links to the requests that ran in it."""

    def __init__(self, tracer: Any, model: str) -> None:
        self._tracer, self._model = tracer, model

    def observe(self, batch: BatchReport) -> None:
        """Send the span of a batch that has just ended."""
        from opentelemetry.trace import Link

        now = time.time_ns()
        began = now - round(1e9 * batch.inference_s)
        known = {"matcaps.model": self._model, "matcaps.images": batch.images, "matcaps.padding": batch.padding}
        links = [Link(link) for link in batch.trace_links]
        self._tracer.start_span("batch", links=links, attributes=known, start_time=began).end(now)


def spans_of(request: Traced, began_s: float, ended_s: float) -> list[tuple[str, float, float]]:
    """Name, begin and end of each step of a request; none if the network did not answer it."""
    if not request.inference_s:
        return []
    ends = [request.decode_began_s, request.decode_s, request.queue_s, request.inference_s]
    for index in range(1, len(ends)):
        ends[index] += ends[index - 1]
    ends = [min(end, ended_s) for end in ends]
    return list(zip(STEPS, [began_s, *ends], [*ends, ended_s], strict=True))
