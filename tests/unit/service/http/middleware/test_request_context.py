"""Each request has an id, times, a line in the log, and is counted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from matcaps.service.app import create_app
from matcaps.service.backends.session import Session
from matcaps.service.settings import Settings
from tests.support.doubles import Client, FakeSession, client_of, fake_models, grey

TIMES = r"decode;dur=[\d.]+, queue;dur=[\d.]+, inference;dur=[\d.]+;desc=onnxruntime, total;dur=[\d.]+"


class Lines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        self.all.append({"level": "info", **values})

    def error(self, event: str, **values: Any) -> None:
        self.all.append({"level": "error", **values})


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def client(tmp_path: Path, session: FakeSession, lines: Lines) -> Iterator[Client]:
    """A client of a service that serves norb/1 and has refused norb/2."""
    load = fake_models(tmp_path, {"norb/1": session, "norb/2": session})

    def refuse_second(path: Path) -> list[Session]:
        if path.parent.name == "2":
            raise ValueError("broken")
        return load(path)

    with client_of(create_app(Settings(models=tmp_path, default_model="norb"), refuse_second, log=lines)) as client:
        yield client


def counted(client: Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All values that a monitor would scrape."""
    text = client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests_by_route(client: Client) -> dict[str, float]:
    """The requests so far by the label of their route."""
    found = dict[str, float]()
    for (name, of), value in counted(client).items():
        if name == "matcaps_requests_total":
            route = dict(of)["route"]
            found[route] = found.get(route, 0) + value
    return found


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


@pytest.mark.parametrize("given", ["a", "7f3c-11", "x" * 128, "~!"])
def test_the_clients_request_id_comes_back(client: Client, given: str) -> None:
    """Also with errors."""
    headers = {"x-request-id": given}
    assert client.get("/models", headers=headers).headers["x-request-id"] == given
    assert client.get("/nowhere", headers=headers).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "caf\u00e9"])
def test_a_request_without_a_usable_id_gets_one(client: Client, given: str | None) -> None:
    """An id that is too long or has other characters is replaced."""
    headers = {} if given is None else {"x-request-id": given.encode("latin-1")}
    made = {client.get("/models", headers=headers).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in made)


def test_responses_carry_their_times(client: Client) -> None:
    """Server-Timing has the duration of each step, in the form that browsers read."""
    assert re.fullmatch(TIMES, client.post_png("/predict", grey(1)).headers["server-timing"])
    assert re.fullmatch(r"total;dur=[\d.]+", client.get("/models").headers["server-timing"])


def test_each_request_is_one_line_in_the_log(client: Client, lines: Lines, session: FakeSession) -> None:
    """It has the request, the status, the model and the reason; health and metrics are not logged."""
    client.post_png("/predict", grey(1))
    client.post_png("/poses?model=cat", grey(1))
    session.failure = RuntimeError("no")
    client.post_png("/predict", grey(1))
    client.get("/health/ready")
    client.get("/metrics")
    found = [{name: value for name, value in line.items() if name != "milliseconds"} for line in lines.all]
    assert found == [
        {"level": "info", "method": "POST", "path": "/predict", "status": 200, "model": "norb", "images": 1},
        {"level": "info", "method": "POST", "path": "/poses", "status": 404, "reason": "not_found"},
        {"level": "error", "method": "POST", "path": "/predict", "status": 503, "model": "norb", "reason": "inference"},
    ]
    assert all(line["milliseconds"] > 0 for line in lines.all)


def test_requests_are_counted_by_route_model_and_status(client: Client, session: FakeSession) -> None:
    """An unknown path is not a label."""
    client.post_png("/predict", grey(1))
    client.post_png("/predict", b"broken")
    client.get("/poses/made-up")
    client.get("/nowhere")
    session.failure = RuntimeError("no")
    client.post_png("/predict", grey(1))
    found = counted(client)
    for route, model, status, times in (
        ("/predict", "norb", "200", 1),
        ("/predict", "norb", "422", 1),
        ("/predict", "norb", "503", 1),
        ("/poses/{id}", "", "404", 1),
        ("none", "", "404", 1),
    ):
        assert found["matcaps_requests_total", labels(route=route, model=model, status=status)] == times
    for reason, times in (("undecodable", 1), ("inference", 1), ("not_found", 2)):
        assert found["matcaps_refusals_total", labels(reason=reason)] == times
    assert found["matcaps_request_seconds_count", labels(route="/predict")] == 3


def test_the_label_of_every_route_is_its_path_in_the_documentation(client: Client) -> None:
    """A label without the prefix of its router would mix two routes."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            before = requests_by_route(client)
            client.request(method.upper(), re.sub(r"{\w+}", "7", path))
            after = requests_by_route(client)
            changed = {route for route in after if after[route] != before.get(route) and route != "/metrics"}
            assert changed == ({path} if path != "/metrics" else set())
    assert requests_by_route(client)["/metrics"] > 0


def test_batches_are_counted_by_model(client: Client) -> None:
    """Samples, sizes of batches, waits and runs."""
    client.post("/predict", files=[("images", ("a.png", grey(1), "image/png"))] * 10)
    found = counted(client)
    of = labels(model="norb")
    assert found["matcaps_images_total", of] == 10
    assert found["matcaps_padding_total", of] == 0
    assert found["matcaps_batch_images_count", of] == 2
    assert found["matcaps_batch_images_sum", of] == 10
    assert found["matcaps_queue_seconds_count", of] == 1
    assert found["matcaps_inference_seconds_count", of] == 2


def test_gauges_show_every_model(client: Client) -> None:
    """What serves, what is refused, and how many samples wait."""
    found = counted(client)
    assert found["matcaps_model", labels(model="norb", version="1", state="serving")] == 1
    assert found["matcaps_model", labels(model="norb", version="2", state="refused")] == 1
    assert found["matcaps_model_load_failures_total", labels(model="norb", version="2")] == 1
    assert found["matcaps_queue_images", labels(model="norb", version="1")] == 0
    assert found["process_resident_memory_bytes", labels()] > 0


def test_metrics_come_as_openmetrics_if_accepted(client: Client) -> None:
    """By default they come as Prometheus' text."""
    response = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
