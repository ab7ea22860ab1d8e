"""What OpenTelemetry's collectors read: a span for each request with what it spent its time on, and one for each batch.

Its packages are an extra, which is imported only where a URL is set.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from matcaps.service.errors import StartError

STEPS = ("receive", "decode", "queue", "infer", "encode")
EXPORT_S = 5.0  # longest time that one delivery may take, and that the end waits for the last ones


class Steps(Protocol):
    """What a request's spans are made of: seconds of one clock, 0 where there was no such step."""

    model: str
    images: int
    reason: str
    decode_began_s: float
    decode_s: float
    queue_s: float
    inference_s: float


class RequestTrace:
    """The span of a request that is under way."""

    def __init__(self, tracer: Any, span: Any, began_s: float, began_ns: int) -> None:
        self._tracer, self._span, self._began_s, self._began_ns = tracer, span, began_s, began_ns

    @property
    def origin(self) -> Any:
        """What a batch's span links to."""
        return self._span.get_span_context()

    def end(self, steps: Steps, route: str, status: int, now_s: float) -> None:
        """Tell what the request was and what it spent its time on."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        self._span.update_name(f"{self._span.name} {route}")
        known = {"http.route": route, "http.response.status_code": status}
        known |= {"matcaps.model": steps.model, "matcaps.images": steps.images, "matcaps.reason": steps.reason}
        self._span.set_attributes({name: value for name, value in known.items() if value})
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        context = set_span_in_context(self._span)
        for name, began_s, ended_s in spans_of(steps, self._began_s, now_s):
            child = self._tracer.start_span(name, context, start_time=self._at(began_s))
            child.end(self._at(ended_s))
        self._span.end(self._at(now_s))

    def _at(self, clock_s: float) -> int:
        return self._began_ns + round(1e9 * (clock_s - self._began_s))


class Traces:
    """Sends spans to a collector, OTLP over HTTP, from a thread of its own: nobody waits, and what cannot go is lost.

    Args:
        url: Where it takes traces, like ``http://127.0.0.1:4318/v1/traces``.
        version: The service's.

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
        """A request's span, below its caller's where ``traceparent`` names one.

        Args:
            method: GET, POST and so on.
            headers: The request's, in small letters.
            began_s: On the clock of the steps.
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
        """Send what is there, and end; waits a few seconds at most where nobody answers."""
        # In a thread, since the SDK goes on for each delivery that is left, however long it is told to take.
        last = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(EXPORT_S)


class BatchTraces:
    """A span for each batch, linked with the requests that ran in it."""

    def __init__(self, tracer: Any, model: str) -> None:
        self._tracer, self._model = tracer, model

    def batch(
        self, *, images: int, padding: int, waits_s: Sequence[float], taken_s: float, origins: Sequence[Any]
    ) -> None:
        """One batch has run."""
        from opentelemetry.trace import Link

        now = time.time_ns()
        known = {"matcaps.model": self._model, "matcaps.images": images, "matcaps.padding": padding}
        links = [Link(origin) for origin in origins]
        span = self._tracer.start_span("batch", links=links, attributes=known, start_time=now - round(1e9 * taken_s))
        span.end(now)


def spans_of(steps: Steps, began_s: float, ended_s: float) -> list[tuple[str, float, float]]:
    """Name, begin and end of what a request went through; one that ran nothing has no parts."""
    if not steps.inference_s:
        return []
    ends = [steps.decode_began_s, steps.decode_s, steps.queue_s, steps.inference_s]
    for index in range(1, len(ends)):
        ends[index] += ends[index - 1]
    ends = [min(end, ended_s) for end in ends]
    return list(zip(STEPS, [began_s, *ends], [*ends, ended_s], strict=True))
