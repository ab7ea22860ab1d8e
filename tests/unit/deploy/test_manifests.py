"""What is deployed fits the service: ports, users, probes, settings and grace periods, and Kubernetes' own schemas."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from matcaps import __version__
from matcaps.service.settings import Settings
from tests.support.doubles import FakeSession, serve
from tests.support.manifests import DEPLOY, KUBERNETES, WRITTEN, container, read, walk

ROOT = DEPLOY.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PODS = [DEPLOY / "kubernetes" / "deployment.yaml", DEPLOY / "kserve" / "inferenceservice.yaml"]
VERSIONS = ("1.29", "1.34")


def setting(container: dict[str, Any], name: str) -> str:
    return next(str(variable["value"]) for variable in container["env"] if variable["name"] == name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [path for path in KUBERNETES if path.name != "keda.yaml"], ids=lambda path: path.name)
def test_kubernetes_takes_it(path: Path, version: str) -> None:
    """Every manifest is valid by the schemas of an old and a new Kubernetes, unknown fields included."""
    kubernetes_validate.validate(read(path), version, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    """The validation is strict."""
    wrong = read(DEPLOY / "kubernetes" / "deployment.yaml")
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_kustomization_has_one_autoscaler() -> None:
    """All files are in it but KEDA's, which stands in the place of the other."""
    resources = read(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"]
    assert sorted(resources) == sorted(path.name for path in KUBERNETES if path.name != "keda.yaml")
    for path in KUBERNETES:
        names = [mapping["name"] for mapping in walk(read(path)) if mapping.keys() >= {"name"} and "labels" in mapping]
        assert set(names) <= {"matcaps"}


def test_settings_are_the_services() -> None:
    """Whatever is named MATCAPS_ anywhere in deploy/ can be set."""
    known = {f"MATCAPS_{name.upper()}" for name in Settings.model_fields}
    for path in WRITTEN:
        assert set(re.findall(r"MATCAPS_[A-Z0-9_]+", path.read_text())) <= known, path


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_the_pod_is_the_images(path: Path) -> None:
    """Port, user and version are those of the Dockerfile and the service."""
    runs = container(path)
    assert f"EXPOSE {runs['ports'][0]['containerPort']}" in DOCKERFILE
    (user,) = {mapping["runAsUser"] for mapping in walk(read(path)) if "runAsUser" in mapping}
    assert f"USER {user}:" in DOCKERFILE
    assert runs["securityContext"]["readOnlyRootFilesystem"]
    assert "/tmp" in {mount["mountPath"] for mount in runs["volumeMounts"]}


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_probes_are_answered_without_a_key(path: Path, tmp_path: Path) -> None:
    """Each probe asks a route that says 200 to whoever shows no key."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{'0' * 64}\n")
    paths = [probe["httpGet"]["path"] for name, probe in container(path).items() if name.endswith("Probe")]
    assert len(paths) == 3
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as client:
        assert [client.get(path).status_code for path in [*paths, "/predict"]] == [200, 200, 200, 401]


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_the_grace_is_longer_than_the_drain(path: Path) -> None:
    """Kubernetes waits for preStop and the whole drain before it kills."""
    runs = container(path)
    (grace_s,) = {
        mapping["terminationGracePeriodSeconds"]
        for mapping in walk(read(path))
        if "terminationGracePeriodSeconds" in mapping
    }
    before_s = int(runs["lifecycle"]["preStop"]["exec"]["command"][1]) if "lifecycle" in runs else 0
    assert grace_s > before_s + int(setting(runs, "MATCAPS_DRAIN_S"))


def test_compose_fits_the_service() -> None:
    """Port, version, grace, and the paths of what is mounted."""
    compose = read(DEPLOY / "compose.yaml")
    service = compose["services"]["matcaps"]
    assert service["image"] == f"matcaps:{__version__}"
    assert read(DEPLOY / "compose.cpu.yaml")["services"]["matcaps"]["image"] == f"matcaps:{__version__}-cpu"
    assert service["ports"][0].endswith(":8000")
    assert int(service["stop_grace_period"].rstrip("s")) > int(service["environment"]["MATCAPS_DRAIN_S"])
    for of in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in of["ports"])
        for volume in of.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), source
    assert set(compose["secrets"]) == {name for of in compose["services"].values() for name in of.get("secrets", [])}


def test_versions_are_the_projects() -> None:
    """Kubernetes and KServe take the image of this version."""
    assert read(DEPLOY / "kubernetes" / "kustomization.yaml")["images"][0]["newTag"] == __version__
    assert container(PODS[1])["image"].endswith(f":{__version__}")


def test_prometheus_looks_where_the_service_is() -> None:
    """Target, rules and credential are those that the compose file lays there."""
    config, compose = read(DEPLOY / "prometheus" / "prometheus.yaml"), read(DEPLOY / "compose.yaml")
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["matcaps:8000"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/prometheus"
    mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert set(config["rule_files"]) <= set(mounted)
