"""The contract of ``model.onnx``: what its metadata must say, and what goes in and comes out."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMAT = 1
CLASS_LAYER = "class_caps"
CLASS_GRID = (1, 1)
CONV_LAYERS = ("primary_caps", "conv_caps_1", "conv_caps_2")
Positive = Annotated[int, Field(ge=1)]


class ImageSize(BaseModel):
    """What a model takes."""

    channels: Annotated[int, Field(ge=1, le=2)]
    height: Positive
    width: Positive


class Layer(BaseModel):
    """One layer of capsules."""

    model_config = ConfigDict(extra="allow")

    name: str
    grid: tuple[Positive, Positive]
    types: Positive


class Metadata(BaseModel):
    """What a model says of itself."""

    classes: Annotated[list[str], Field(min_length=1)]
    image: ImageSize
    layers: list[Layer]
    routing_iterations: Positive
    training: dict[str, Any] = Field(default_factory=dict)
    parity: dict[str, Any] = Field(default_factory=dict)

    def layer(self, name: str) -> Layer | None:
        """The layer of that name, if there is one."""
        return next((layer for layer in self.layers if layer.name == name), None)


class Tensor(Protocol):
    """One input or output, as onnxruntime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def read_metadata(properties: Mapping[str, str]) -> Metadata:
    """The metadata of a model.

    Raises:
        ValueError: Something is missing, is no JSON, or has another form; the message names it.
    """
    values = {}
    for name in ("format", *Metadata.model_fields):
        text = properties.get(f"matcaps.{name}")
        if text is None:
            if name in ("training", "parity"):
                continue
            raise ValueError(f"metadata lacks matcaps.{name}: not a model that matcaps exported")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"metadata matcaps.{name} is no JSON: {error}") from None
    if values["format"] != FORMAT:
        raise ValueError(f"matcaps.format must be {FORMAT}, found {values['format']!r}")
    try:
        metadata = Metadata.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"metadata matcaps.{where}: {first['msg']}") from None
    names = [layer.name for layer in metadata.layers]
    missing = [name for name in (*CONV_LAYERS, CLASS_LAYER) if name not in names]
    if missing:
        raise ValueError(f"metadata matcaps.layers lacks {', '.join(missing)}")
    for kind, named in (("layers", names), ("classes", metadata.classes)):
        if len(set(named)) < len(named):
            raise ValueError(f"metadata matcaps.{kind} has a name twice: {named}")
    return metadata


def check_tensors(metadata: Metadata, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Hold a graph's inputs and outputs against the contract.

    Raises:
        ValueError: A tensor is missing or is of another type or shape; the message names it.
    """
    image = metadata.image
    expected: dict[str, tuple[str, list[int]]] = {
        "images": ("tensor(uint8)", [image.channels, image.height, image.width])
    }
    _check(expected, inputs, "input")
    classes = len(metadata.classes)
    expected = {
        "activations": ("tensor(float)", [classes]),
        "poses": ("tensor(float)", [classes, 4, 4]),
    }
    for layer in metadata.layers:
        if layer.name in CONV_LAYERS:
            sites = layer.grid[0] * layer.grid[1]
            expected[f"{layer.name}_activations"] = ("tensor(float)", [sites, layer.types])
            expected[f"{layer.name}_poses"] = ("tensor(float)", [sites, layer.types, 4, 4])
    _check(expected, outputs, "output")
    if "class_assignments" not in {tensor.name for tensor in outputs}:
        raise ValueError("the graph lacks the output class_assignments")


def _check(expected: dict[str, tuple[str, list[int]]], tensors: Sequence[Tensor], kind: str) -> None:
    found = {tensor.name: tensor for tensor in tensors}
    for name, (dtype, shape) in expected.items():
        if name not in found:
            raise ValueError(f"the graph lacks the {kind} {name}")
        tensor = found[name]
        if tensor.type != dtype or list(tensor.shape)[1:] != shape or isinstance(tensor.shape[0], int):
            raise ValueError(
                f"{kind} {name} must be {dtype} [batch, {', '.join(map(str, shape))}], "
                f"found {tensor.type} {list(tensor.shape)}"
            )
