"""An InferenceService held against KServe's own models; scripts/check-deploy runs it where they are."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kserve
import kubernetes.client.models
import yaml
from kubernetes.client import ApiClient


def main(path: str) -> int:
    """0 if every field of the file is one that KServe's and Kubernetes' models know, with a value of its type."""
    document = yaml.safe_load(Path(path).read_text())
    # Kubernetes' client looks all models up in its own package.
    for name in dir(kserve):
        if name.startswith(("V1alpha1", "V1beta1")):
            setattr(kubernetes.client.models, name, getattr(kserve, name))
    client = ApiClient()
    try:
        service = client.deserialize(SimpleNamespace(data=json.dumps(document)), "V1beta1InferenceService")
    except (ValueError, TypeError, AttributeError) as error:
        print(f"BROKEN  {path}: {error}")
        return 1
    lost = differences(document, client.sanitize_for_serialization(service))
    print("\n".join(f"BROKEN  {path}: {line}" for line in lost) or f"ok      {path}: every field is KServe's")
    return 1 if lost else 0


def differences(asked: Any, known: Any, where: str = "") -> list[str]:
    """What the models did not take over: fields that they do not know."""
    if isinstance(asked, dict) and isinstance(known, dict):
        unknown = [f"{where}.{name} is unknown" for name in asked if name not in known]
        pairs = [(f"{where}.{name}", asked[name], known[name]) for name in asked if name in known]
    elif isinstance(asked, list) and isinstance(known, list) and len(asked) == len(known):
        unknown = []
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(asked, known, strict=True))]
    else:
        return [] if asked == known else [f"{where} is {asked!r}, and became {known!r}"]
    return unknown + [line for place, one, other in pairs for line in differences(one, other, place)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
