"""The contract of ``model.onnx``: its metadata, its inputs and its outputs."""

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMATS = (1, 2)
CLASS_LAYER = "class_caps"
CLASS_GRID = (1, 1)
CLASS_OUTPUTS = ("activations", "poses")
CONV_LAYERS = ("primary_caps", "conv_caps_1", "conv_caps_2")
ASSIGNMENTS = ("conv_caps_1_assignments", "conv_caps_2_assignments")  # of format 2; they take time of their own
LARGE_OUTPUTS = (*ASSIGNMENTS, "pixels")
POSE = (4, 4)
Positive = Annotated[int, Field(ge=1)]


class ImageSize(BaseModel):
    """The size of one sample."""

    channels: Annotated[int, Field(ge=1, le=3)]
    """1 (grey), 2 (left and right) or 3 (RGB)"""
    height: Positive
    width: Positive

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.height, self.width

    @property
    def images_per_sample(self) -> int:
        """How many encoded images a sample is made of: two for a stereo pair, otherwise one."""
        return 2 if self.channels == 2 else 1


class Crop(BaseModel):
    """A part of an image, in pixels."""

    top: Annotated[int, Field(ge=0)]
    left: Annotated[int, Field(ge=0)]
    height: Positive
    width: Positive


class Pixels(BaseModel):
    """The size of the output ``pixels``, and the part of the image that it covers."""

    height: Positive
    width: Positive
    crop: Crop


class ReceptiveField(BaseModel):
    """The pixels of the image that a site depends on, by (row, column)."""

    size: tuple[float, float]
    stride: tuple[float, float]
    offset: tuple[float, float]


class Layer(BaseModel):
    """One layer of capsules.

    Position (row, column) of the window of parent site (y, x) is child site (y · stride + row, x · stride + column).
    """

    model_config = ConfigDict(extra="allow")

    name: str
    grid: tuple[Positive, Positive]
    types: Positive
    kernel: tuple[Positive, Positive] | None = None
    stride: tuple[Positive, Positive] | None = None
    receptive_field: ReceptiveField | None = None


class Metadata(BaseModel):
    """The metadata of a model."""

    format: int
    classes: Annotated[list[str], Field(min_length=1)]
    image: ImageSize
    pixels: Pixels | None = None
    """None in format 1, which has no output ``pixels``."""
    layers: list[Layer]
    routing_iterations: Positive
    training: dict[str, Any] = Field(default_factory=dict)
    parity: dict[str, Any] = Field(default_factory=dict)

    def layer(self, name: str) -> Layer | None:
        """The layer of that name, or None."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output by its name, without the batch."""
        classes = len(self.classes)
        shapes: dict[str, tuple[int, ...]] = {"activations": (classes,), "poses": (classes, *POSE)}
        large: dict[str, tuple[int, ...]] = {}
        sites, types = 0, 0  # of the layer below
        for layer in self.layers:
            if layer.name not in CONV_LAYERS:
                continue
            if layer.kernel is not None and f"{layer.name}_assignments" in LARGE_OUTPUTS:
                positions = layer.kernel[0] * layer.kernel[1]
                large[f"{layer.name}_assignments"] = (layer.grid[0] * layer.grid[1], positions, types, layer.types)
            sites, types = layer.grid[0] * layer.grid[1], layer.types
            shapes[f"{layer.name}_activations"] = (sites, types)
            shapes[poses_output(layer.name)] = (sites, types, *POSE)
        # The last convolutional layer holds the children of the classes.
        shapes["class_assignments"] = (sites, types, classes)
        if self.pixels is not None:
            large["pixels"] = (self.image.channels, self.pixels.height, self.pixels.width)
        return {**shapes, **large} if self.format > 1 else shapes

    def usual_outputs(self) -> list[str]:
        """The outputs without the large ones, which come only by name."""
        return [name for name in self.outputs() if name not in LARGE_OUTPUTS]


class Tensor(Protocol):
    """One input or output, as onnxruntime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def poses_output(layer: str) -> str:
    """The name of the output that holds the poses of a layer.

    >>> poses_output("class_caps"), poses_output("conv_caps_1")
    ('poses', 'conv_caps_1_poses')
    """
    return "poses" if layer == CLASS_LAYER else f"{layer}_poses"


def read_metadata(properties: Mapping[str, str]) -> Metadata:
    """The metadata of a model.

    Raises:
        ValueError: An entry is missing, is not JSON or has the wrong form; the message names it.
    """
    values = {}
    for name in Metadata.model_fields:
        text = properties.get(f"matcaps.{name}")
        if text is None:
            if name in ("training", "parity", "pixels"):
                continue
            raise ValueError(f"metadata lacks matcaps.{name}: the file was not exported by matcaps")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"metadata matcaps.{name} is not JSON: {error}") from None
    if type(values["format"]) is not int or values["format"] not in FORMATS:
        raise ValueError(f"matcaps.format must be {' or '.join(map(str, FORMATS))}, got {values['format']!r}")
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
    if metadata.format > 1:
        _check_format_2(metadata)
    return metadata


def _check_format_2(metadata: Metadata) -> None:
    if metadata.pixels is None:
        raise ValueError("metadata lacks matcaps.pixels, which format 2 has")
    crop, image = metadata.pixels.crop, metadata.image
    if crop.top + crop.height > image.height or crop.left + crop.width > image.width:
        raise ValueError(f"metadata matcaps.pixels.crop must lie inside {image.height}×{image.width}, got {crop}")
    layers = [metadata.layer(name) for name in (*CONV_LAYERS, CLASS_LAYER)]
    for below, layer in itertools.pairwise(layers):
        assert below is not None
        assert layer is not None
        if layer.kernel is None or layer.stride is None:
            raise ValueError(f"metadata matcaps.layers lacks kernel or stride of {layer.name}, which format 2 has")
        last = [
            (grid - 1) * step + size for grid, step, size in zip(layer.grid, layer.stride, layer.kernel, strict=True)
        ]
        if last[0] > below.grid[0] or last[1] > below.grid[1]:
            raise ValueError(
                f"metadata matcaps.layers: the windows of {layer.name} must lie inside the grid {list(below.grid)} "
                f"of {below.name}, the last one ends at {last}"
            )


def check_tensors(
    metadata: Metadata, inputs: Sequence[Tensor], outputs: Sequence[Tensor], without: Collection[str] = ()
) -> None:
    """Compare the inputs and outputs of a graph, except those that it was made without, with the contract.

    Raises:
        ValueError: A tensor is missing or has another type or shape; the message names it.
    """
    _check({"images": metadata.image.shape}, "tensor(uint8)", inputs, "input")
    shapes = {name: shape for name, shape in metadata.outputs().items() if name not in without}
    assignments = shapes.pop("class_assignments", None)  # passed on as it is, so it only has to be there
    _check(shapes, "tensor(float)", outputs, "output")
    if assignments is not None and "class_assignments" not in {tensor.name for tensor in outputs}:
        raise ValueError("the graph lacks the output class_assignments")


def _check(shapes: Mapping[str, tuple[int, ...]], dtype: str, tensors: Sequence[Tensor], kind: str) -> None:
    found = {tensor.name: tensor for tensor in tensors}
    for name, shape in shapes.items():
        if name not in found:
            raise ValueError(f"the graph lacks the {kind} {name}")
        tensor = found[name]
        if tensor.type != dtype or tuple(tensor.shape)[1:] != shape or isinstance(tensor.shape[0], int):
            raise ValueError(
                f"{kind} {name} must be {dtype} [batch, {', '.join(map(str, shape))}], "
                f"got {tensor.type} {list(tensor.shape)}"
            )
