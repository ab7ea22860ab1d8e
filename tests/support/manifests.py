"""Reads the files in ``deploy/``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
WRITTEN = sorted(DEPLOY.rglob("*.yaml"))
KUBERNETES = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.name != "kustomization.yaml"]


class Loader(yaml.SafeLoader):
    """YAML with ``!reset``, the tag by which a compose file removes a value."""


Loader.add_constructor("!reset", lambda loader, node: None)


def read(path: Path) -> Any:
    """A file's only document."""
    return yaml.load(path.read_text(), Loader)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a document, outer ones first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def container(path: Path) -> dict[str, Any]:
    """The container that runs the service."""
    for mapping in walk(read(path)):
        if "containers" in mapping:
            found = mapping["containers"][0]
            assert isinstance(found, dict)
            return found
    raise AssertionError(f"expected a container in {path}, found none")
