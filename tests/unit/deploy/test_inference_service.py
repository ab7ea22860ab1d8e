"""The InferenceService is valid by KServe's own Python models."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import kserve
import kubernetes.client.models
import pytest
from kubernetes.client import ApiClient

from tests.support.manifests import DEPLOY, read


@pytest.fixture
def document() -> Any:
    return read(DEPLOY / "kserve" / "inferenceservice.yaml")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    """A Kubernetes client that knows KServe's models too; it looks models up in its own package."""
    for name in dir(kserve):
        if name.startswith(("V1alpha1", "V1beta1")):
            monkeypatch.setattr(kubernetes.client.models, name, getattr(kserve, name), raising=False)
    with ApiClient() as client:
        yield client


def lost(client: ApiClient, document: Any) -> list[str]:
    """Fields that the models do not know."""
    service = client.deserialize(SimpleNamespace(data=json.dumps(document)), "V1beta1InferenceService")
    return _differences(document, client.sanitize_for_serialization(service))


def _differences(asked: Any, known: Any, where: str = "") -> list[str]:
    if isinstance(asked, dict) and isinstance(known, dict):
        unknown = [f"{where}.{name}" for name in asked if name not in known]
        pairs = [(f"{where}.{name}", asked[name], known[name]) for name in asked if name in known]
    elif isinstance(asked, list) and isinstance(known, list) and len(asked) == len(known):
        unknown = []
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(asked, known, strict=True))]
    else:
        return [] if asked == known else [f"{where}: {asked!r}, {known!r}"]
    return unknown + [line for place, one, other in pairs for line in _differences(one, other, place)]


def test_every_field_is_known_to_kserve(models: ApiClient, document: Any) -> None:
    """No field is lost on the way through the models."""
    assert lost(models, document) == []


def test_an_unknown_field_or_a_wrong_type_is_found(models: ApiClient, document: Any) -> None:
    """Errors are found at any depth."""
    predictor = document["spec"]["predictor"]
    predictor["scaleTargets"] = 3
    predictor["containers"][0]["startupProbe"]["periodSecond"] = 2
    assert lost(models, document) == [
        ".spec.predictor.scaleTargets",
        ".spec.predictor.containers[0].startupProbe.periodSecond",
    ]
    predictor["containers"][0]["ports"][0]["containerPort"] = "http"
    with pytest.raises(ValueError, match="http"):
        lost(models, document)
