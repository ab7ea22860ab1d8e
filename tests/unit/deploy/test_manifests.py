"""Manifests match Kubernetes' schemas, and the service's ports, user, probes, settings and grace periods."""

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
def test_a_manifest_is_valid_by_the_schemas_of_kubernetes(path: Path, version: str) -> None:
    """It is valid by the schemas of an old and a new Kubernetes, without unknown fields."""
    kubernetes_validate.validate(read(path), version, strict=True)


def test_an_unknown_field_is_an_error() -> None:
    """The validation is strict."""
    wrong = read(DEPLOY / "kubernetes" / "deployment.yaml")
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_kustomization_has_every_manifest_but_that_of_keda() -> None:
    """KEDA's autoscaler replaces the other one; all names are the same."""
    resources = read(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"]
    assert sorted(resources) == sorted(path.name for path in KUBERNETES if path.name != "keda.yaml")
    for path in KUBERNETES:
        names = [mapping["name"] for mapping in walk(read(path)) if mapping.keys() >= {"name"} and "labels" in mapping]
        assert set(names) <= {"matcaps"}


def test_every_setting_in_deploy_exists() -> None:
    """Every name that begins with MATCAPS_ is a setting of the service."""
    known = {f"MATCAPS_{name.upper()}" for name in Settings.model_fields}
    for path in WRITTEN:
        assert set(re.findall(r"MATCAPS_[A-Z0-9_]+", path.read_text())) <= known, path


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_the_pod_has_the_port_and_the_user_of_the_dockerfile(path: Path) -> None:
    """Its root file system is read-only, and /tmp is mounted."""
    runs = container(path)
    assert f"EXPOSE {runs['ports'][0]['containerPort']}" in DOCKERFILE
    (user,) = {mapping["runAsUser"] for mapping in walk(read(path)) if "runAsUser" in mapping}
    assert f"USER {user}:" in DOCKERFILE
    assert runs["securityContext"]["readOnlyRootFilesystem"]
    assert "/tmp" in {mount["mountPath"] for mount in runs["volumeMounts"]}


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_probes_need_no_api_key(path: Path, tmp_path: Path) -> None:
    """The routes of all three probes answer 200 without a key; /predict answers 401."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{'0' * 64}\n")
    paths = [probe["httpGet"]["path"] for name, probe in container(path).items() if name.endswith("Probe")]
    assert len(paths) == 3
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as client:
        assert [client.get(path).status_code for path in [*paths, "/predict"]] == [200, 200, 200, 401]


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_the_pod_gets_no_variables_of_services(path: Path) -> None:
    """A Service called matcaps would set MATCAPS_PORT."""
    (pod,) = [mapping for mapping in walk(read(path)) if "containers" in mapping]
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.name)
def test_the_grace_period_is_longer_than_prestop_and_drain(path: Path) -> None:
    """Kubernetes kills the process only after both."""
    runs = container(path)
    (grace_s,) = {
        mapping["terminationGracePeriodSeconds"]
        for mapping in walk(read(path))
        if "terminationGracePeriodSeconds" in mapping
    }
    before_s = int(runs["lifecycle"]["preStop"]["exec"]["command"][1]) if "lifecycle" in runs else 0
    assert grace_s > before_s + int(setting(runs, "MATCAPS_DRAIN_S"))


def test_compose_has_the_services_port_version_and_paths() -> None:
    """Every port is on the loopback interface, and every mounted path and secret exists."""
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


def test_kubernetes_and_kserve_run_the_image_of_this_version() -> None:
    """The tag is the package's version."""
    assert read(DEPLOY / "kubernetes" / "kustomization.yaml")["images"][0]["newTag"] == __version__
    assert container(PODS[1])["image"].endswith(f":{__version__}")


def test_prometheus_scrapes_the_service_of_the_compose_file() -> None:
    """Target, rule files and credential are those of the compose file."""
    config, compose = read(DEPLOY / "prometheus" / "prometheus.yaml"), read(DEPLOY / "compose.yaml")
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["matcaps:8000"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/prometheus"
    mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert set(config["rule_files"]) <= set(mounted)
