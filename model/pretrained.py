"""A network as files: its configuration (``config.json``) and its weights (``model.safetensors``)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from matcaps.model.config import CapsNetConfig, RoutingConfig

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
LIBRARY = "matcaps"
_ADAPTER = TypeAdapter(CapsNetConfig)


def contents(config: CapsNetConfig, weights: Mapping[str, Tensor]) -> dict[str, bytes]:
    """The content of each file, by its name.

    Raises:
        ValueError: A weight is of another precision than float32, the one that a network is loaded in.
    """
    for name, values in weights.items():
        if values.is_floating_point() and values.dtype != torch.float32:
            raise ValueError(f"only float32 networks are saved, {name} is {_dtype(values)}; call network.float() first")
    text = json.dumps({"library": LIBRARY, "network": asdict(config)}, ensure_ascii=False, indent=2)
    # Convolutions keep their channels last, and the format stores rows alone.
    rows = {name: values.detach().cpu().contiguous() for name, values in weights.items()}
    return {CONFIG_FILE: f"{text}\n".encode(), WEIGHTS_FILE: safetensors.torch.save(rows, {"format": "pt"})}


def read_config(folder: Path) -> CapsNetConfig:
    """The configuration of a network.

    Raises:
        ValueError: The file is not one that ``contents`` makes; one line that names the field.
    """
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("network"), dict):
        raise ValueError(f"{path} lacks the object network: it was not written by {LIBRARY}")
    network = content["network"]
    _check_fields(path, "network", network, CapsNetConfig)
    if isinstance(network["routing"], dict):
        _check_fields(path, "network.routing", network["routing"], RoutingConfig)
    try:
        # As JSON, in which a list stands for a tuple.
        return _ADAPTER.validate_json(json.dumps(network), strict=True)
    except ValidationError as error:
        fault: Any = error.errors()[0]
        reason = f"{'.'.join(map(str, ('network', *fault['loc'])))}: {fault['msg'].removeprefix('Value error, ')}"
        got = "" if fault["type"] == "value_error" else f", got {fault['input']!r}"
        raise ValueError(f"{path}: {reason}{got}") from None


def read_weights(folder: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network.

    Args:
        folder: It holds the file.
        expected: The weights of the network that the configuration describes, for their names and shapes.

    Raises:
        ValueError: The file is damaged, or a weight is missing, unknown, or has another shape or type.
    """
    path = folder / WEIGHTS_FILE
    try:
        found = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from None
    for verb, names in (("lacks", expected.keys() - found.keys()), ("has the unknown", found.keys() - expected.keys())):
        if names:
            raise ValueError(f"{path} {verb} {', '.join(sorted(names))}, by the network of {CONFIG_FILE}")
    for name, values in expected.items():
        if (found[name].shape, found[name].dtype) != (values.shape, values.dtype):
            raise ValueError(
                f"{path}: {name} must be {_dtype(values)} {list(values.shape)} by {CONFIG_FILE}, "
                f"got {_dtype(found[name])} {list(found[name].shape)}"
            )
    return found


def _check_fields(path: Path, where: str, found: Mapping[str, Any], kind: type[CapsNetConfig | RoutingConfig]) -> None:
    """Require every field and no other: the default of a missing one may not be what the network was trained with."""
    expected = [field.name for field in fields(kind)]
    for verb, names in (
        ("lacks", [name for name in expected if name not in found]),
        ("has the unknown", [name for name in found if name not in expected]),
    ):
        if names:
            raise ValueError(f"{path} {verb} {', '.join(f'{where}.{name}' for name in names)}")


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")
