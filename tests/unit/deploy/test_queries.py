"""Queries of the dashboard, the alerts and the autoscaler name metrics and labels that the service has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from matcaps.service.app import create_app
from matcaps.service.engine.loader import opener_of
from matcaps.service.settings import Settings
from tests.support.doubles import client_of, grey, write_model
from tests.support.manifests import DEPLOY, read, walk

OF_PROMETHEUS = {"instance", "job"}  # labels that Prometheus adds to every series
DASHBOARD = DEPLOY / "grafana" / "matcaps.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"


def queries() -> list[str]:
    """All queries in ``deploy/``, with Grafana's variables filled in."""
    found = [panel["expr"] for part in json.loads(DASHBOARD.read_text())["panels"] for panel in part["targets"]]
    found += [rule["expr"] for rule in walk(read(ALERTS)) if "alert" in rule]
    found.append(read(DEPLOY / "kubernetes" / "keda.yaml")["spec"]["triggers"][0]["metadata"]["query"])
    return [
        query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$route", ".*") for query in found
    ]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Labels by series, of a service that has answered, refused a request and found a broken model file."""
    folder: Path = tmp_path_factory.mktemp("models")
    write_model(folder, "norb", 1)
    write_model(folder, "norb", 2, b"broken")
    settings = Settings(models=folder, default_model="norb", device="cpu")
    with client_of(create_app(settings, opener_of(settings))) as client:
        assert client.post_png("/predict", grey(3)).status_code == 200
        assert client.post_png("/predict", b"no picture").status_code == 422
        text = client.get("/metrics").text
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return {**labels, "up": set()}


def parts(expression: Any) -> Iterator[Any]:
    """A PromQL expression and all of its parts."""
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (inner := getattr(expression, name, None)) is not None and not isinstance(inner, str):
            yield from parts(inner)
    for inner in getattr(expression, "args", []):
        yield from parts(inner)


def selectors(expression: Any) -> list[Any]:
    """The series that an expression reads."""
    return [part for part in parts(expression) if type(part).__name__ == "VectorSelector"]


def unknown(query: str, exposed: dict[str, set[str]]) -> list[str]:
    """Names of series, and labels in selectors and groupings, that the service does not have."""
    found = []
    for part in parts(promql_parser.parse(query)):
        read_here = selectors(part)
        known = (
            set.intersection(*({*OF_PROMETHEUS, *exposed.get(of.name, set())} for of in read_here))
            if read_here
            else set()
        )
        if type(part).__name__ == "VectorSelector":
            if part.name not in exposed:
                found.append(part.name)
            wanted = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", str(part.matchers)))
        else:
            modifier = getattr(part, "modifier", None)
            wanted = set(getattr(modifier, "labels", None) or [])
        found += sorted(wanted - known)
    return found


@pytest.mark.parametrize("query", queries())
def test_a_query_names_series_and_labels_of_the_service(query: str, exposed: dict[str, set[str]]) -> None:
    """Names are checked in selectors and in groupings."""
    assert unknown(query, exposed) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("matcaps_requests", ["matcaps_requests"]),
        ('matcaps_requests_total{rout="/predict"}', ["rout"]),
        ("sum by (version) (rate(matcaps_images_total[1m]))", ["version"]),
        ("histogram_quantile(0.9, sum by (le) (rate(matcaps_queue_seconds_sum[1m])))", ["le"]),
    ],
)
def test_an_unknown_name_or_label_is_found(query: str, found: list[str], exposed: dict[str, set[str]]) -> None:
    """It is found in a name, a selector and a grouping."""
    assert unknown(query, exposed) == found


def test_legends_use_only_labels_that_the_query_keeps() -> None:
    """These are the labels of its ``by`` and Prometheus' own."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"])))) | OF_PROMETHEUS
            assert shown <= grouped, target


def test_the_dashboard_uses_the_provisioned_data_source() -> None:
    """Its variables are those that queries use, and no two panels overlap at their corner."""
    dashboard = json.loads(DASHBOARD.read_text())
    (source,) = read(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    used = set(re.findall(r'"\$(\w+)\\"', DASHBOARD.read_text()))
    assert used == {variable["name"] for variable in dashboard["templating"]["list"]}
    places = [tuple(panel["gridPos"][side] for side in "xy") for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_every_alert_has_a_test_an_action_and_a_place_in_the_guide() -> None:
    """All nine alerts have them."""
    tests = (DEPLOY / "prometheus" / "alerts.test.yaml").read_text()
    guide = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    alerts = [rule for rule in walk(read(ALERTS)) if "alert" in rule]
    assert len(alerts) == 9
    for rule in alerts:
        assert rule["annotations"]["action"].endswith(".")
        assert tests.count(rule["alert"]) >= 2, rule["alert"]
        assert rule["alert"] in guide
