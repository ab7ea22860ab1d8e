"""Traces reach a collector with the right parents and links, and the service works without one."""

import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from matcaps.service.errors import StartError
from matcaps.service.http.middleware.request_context import QUIET
from matcaps.service.telemetry.traces import STEPS, Traces, pack_link, unpack_link
from tests.support.doubles import FakeSession, grey, serve

CALLER = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """Receives spans as a collector does: OTLP in protobuf over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receive)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1/traces"
        self.spans: list[Any] = []
        self.service = ""

    def named(self, name: str) -> list[Any]:
        """The spans with this name."""
        return [span for span in self.spans if span.name == name]


class Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for of_resource in sent.resource_spans:
            self.server.service = attributes(of_resource.resource)["service.name"]
            self.server.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_is_part_of_its_callers_trace(tmp_path: Path, collector: Collector) -> None:
    """A request's span is a child of the caller's span; its steps are its children, without gaps between them."""
    with serve(tmp_path, {"norb/1": FakeSession()}, traces_url=collector.url) as client:
        client.post_png("/predict", grey(3), traceparent=f"00-{CALLER}-b7ad6b7169203331-01")
    assert collector.service == "matcaps"
    (request,) = collector.named("POST /predict")
    assert request.trace_id.hex() == CALLER
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert attributes(request) == {
        "http.route": "/predict",
        "http.response.status_code": 200,
        "matcaps.model": "norb",
        "matcaps.images": 1,
    }
    steps = [next(iter(collector.named(name))) for name in STEPS]
    assert {step.parent_span_id for step in steps} == {request.span_id}
    assert {step.trace_id for step in steps} == {request.trace_id}
    at = request.start_time_unix_nano
    for step in steps:
        assert abs(step.start_time_unix_nano - at) < 1000
        at = step.end_time_unix_nano
        assert at >= step.start_time_unix_nano
    assert abs(request.end_time_unix_nano - at) < 1000


def test_a_batch_is_linked_to_its_requests(tmp_path: Path, collector: Collector) -> None:
    """The span of a batch has a link to each request in it."""
    with (
        serve(tmp_path, {"norb/1": FakeSession()}, traces_url=collector.url, max_batch=2, max_wait_ms=10_000) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        answers = list(pool.map(lambda level: client.post_png("/predict", grey(level)), (3, 4)))
    assert [answer.status_code for answer in answers] == [200, 200]
    (batch,) = collector.named("batch")
    assert attributes(batch) == {"matcaps.model": "norb", "matcaps.images": 2, "matcaps.padding": 0}
    requests = collector.named("POST /predict")
    assert len({request.trace_id for request in requests}) == 2
    linked = {(link.trace_id, link.span_id) for link in batch.links}
    assert linked == {(request.trace_id, request.span_id) for request in requests}


def test_failed_requests_say_why(tmp_path: Path, collector: Collector) -> None:
    """A rejected request names its reason and has no steps; from status 500 on its span is an error."""
    session = FakeSession()
    session.failure = RuntimeError("no")
    with serve(tmp_path, {"norb/1": session}, traces_url=collector.url) as client:
        client.post_png("/predict", b"no picture")
        client.post_png("/predict", grey(1))
        client.get("/health/ready")
    refused, failed = collector.named("POST /predict")
    assert attributes(refused)["http.response.status_code"] == 422
    assert attributes(refused)["matcaps.reason"] == "undecodable"
    assert (refused.status.code, failed.status.code) == (0, 2)
    assert len(collector.spans) == 2, "health checks are not traced"


def test_the_span_of_every_route_has_its_path_in_the_documentation(tmp_path: Path, collector: Collector) -> None:
    """The name and the attribute http.route have the whole path, with the prefix of its router."""
    expected = []
    with serve(tmp_path, {"norb/1": FakeSession()}, traces_url=collector.url) as client:
        for path, operations in client.get("/openapi.json").json()["paths"].items():
            if path.startswith(QUIET):
                continue
            for method in operations:
                client.request(method.upper(), re.sub(r"{\w+}", "7", path))
                expected.append((f"{method.upper()} {path}", path))
    found = [(span.name, attributes(span)["http.route"]) for span in collector.spans if span.name != "batch"]
    assert sorted(found) == sorted([*expected, ("GET none", "none")]), "the document itself is not a documented route"


def test_requests_are_answered_without_a_collector(tmp_path: Path) -> None:
    """Without a collector, predictions are answered and the service ends."""
    with Collector() as nobody:
        url = nobody.url
    with serve(tmp_path, {"norb/1": FakeSession()}, traces_url=url) as client:
        assert client.post_png("/predict", grey(3)).status_code == 200


def test_missing_packages_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the OpenTelemetry packages, the error says what to install."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(StartError, match=r"pip install 'matcaps\[tracing\]'"):
        Traces("http://127.0.0.1:4318/v1/traces", "1")


def test_a_span_context_survives_its_way_to_another_process() -> None:
    """Packed and unpacked it is the same, and none stays none."""
    from opentelemetry.trace import SpanContext, TraceFlags

    context = SpanContext(2**127 + 1, 2**63 + 1, False, TraceFlags(1))
    found = unpack_link(pack_link(context))
    assert (found.trace_id, found.span_id, found.trace_flags) == (context.trace_id, context.span_id, 1)
    assert unpack_link(pack_link(None)) is None
