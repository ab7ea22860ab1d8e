"""A network whose routed layers run in the C++ kernel, without stored votes; onnxruntime runs only the layers below.

A version's folder needs two files beside ``model.onnx``, which release writes: ``model.safetensors`` (weights) and
``config.json`` (the constants of routing). The layers below routing are ``model.onnx`` without its other outputs.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from safetensors.numpy import load_file

from matcaps.kernels.layer import Constants, Parents, RoutedLayer
from matcaps.kernels.windows import WindowTables
from matcaps.service.backends.artefact import CLASS_LAYER, Metadata
from matcaps.service.backends.onnx import CPU, RUNTIME, load
from matcaps.service.backends.session import Arrays

WEIGHTS, CONFIG = "model.safetensors", "config.json"
STEM = ("primary_caps_activations", "primary_caps_poses", "pixels")
ROUTED = ("conv_caps_1", "conv_caps_2", CLASS_LAYER)
PIECE = 8  # images: as many as the kernel routes together
Positive = Annotated[float, Field(gt=0)]
Floats = NDArray[np.float32]


class Routing(BaseModel):
    """The constants of EM routing in ``config.json``."""

    iterations: Annotated[int, Field(ge=1)]
    final_inverse_temperature: Positive
    mass: Literal["absolute", "relative"]
    density_temperature: Positive
    variance_floor: Positive
    competition: Literal["parents", "positions"]

    def constants(self, *, of_classes: bool) -> Constants:
        """Those of one layer; the classes always compete for a child."""
        return Constants(
            self.iterations,
            self.final_inverse_temperature,
            self.density_temperature,
            self.variance_floor,
            self.mass == "relative",
            self.competition == "positions" and not of_classes,
        )


class Network(BaseModel):
    """What routing needs of a network's configuration."""

    routing: Routing
    coordinate_addition: bool


class Config(BaseModel):
    """The content of ``config.json``."""

    network: Network


class RoutedNetwork:
    """The network of a version's folder.

    Args:
        folder: The folder of ``model.onnx``.
        metadata: The metadata of ``model.onnx``.
        threads: Threads of an image that runs alone.
        runtime: The onnxruntime module, or a test double.

    Raises:
        ValueError: A file is missing or damaged, or does not fit the metadata; the message names it.
    """

    def __init__(self, folder: Path, metadata: Metadata, threads: int, runtime: Any = RUNTIME) -> None:
        missing = [name for name in (WEIGHTS, CONFIG) if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"there is no {' and no '.join(missing)} beside model.onnx")
        self._threads = threads
        config = _read_config(folder / CONFIG).network
        weights = _read_weights(folder / WEIGHTS)
        self._single = _stem(folder, metadata, 1, runtime)
        self._together = _stem(folder, metadata, threads, runtime) if threads > 1 else self._single
        try:
            self._layers = {name: _layer(name, metadata, config, weights) for name in ROUTED}
            self._slope, self._offset = (np.float32(weights[f"calibration.{name}"]) for name in ("slope", "offset"))
        except KeyError as error:
            raise ValueError(f"{WEIGHTS} lacks {error.args[0]}") from None

    def run(self, images: NDArray[np.uint8], outputs: Collection[str], *, alone: bool) -> Arrays:
        """The outputs by name for images [batch, channels, height, width]; only those are computed.

        Args:
            images: A batch.
            outputs: Names of outputs of ``model.onnx``.
            alone: Whether nothing else runs, so that all threads may work on this batch.
        """
        pieces = [self._run(images[at : at + PIECE], outputs, alone) for at in range(0, len(images), PIECE)]
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in outputs}

    def _run(self, images: NDArray[np.uint8], outputs: Collection[str], alone: bool) -> dict[str, Floats]:
        stem, threads = (self._together, self._threads) if alone else (self._single, 1)
        names = ["primary_caps_activations", "primary_caps_poses", *(["pixels"] if "pixels" in outputs else [])]
        found: dict[str, Floats] = dict(zip(names, stem.run(names, {"images": images}), strict=True))
        activations, poses = found["primary_caps_activations"], found["primary_caps_poses"]
        for name in ROUTED[:2]:
            parents = self._route(name, activations, poses, outputs, threads)
            activations, poses = _sigmoid(parents.logits), parents.poses
            found |= {f"{name}_activations": activations, f"{name}_poses": poses}
            if parents.assignments is not None:
                found[f"{name}_assignments"] = parents.assignments
        classes = self._route(CLASS_LAYER, activations, poses, outputs, threads)
        found["activations"] = _sigmoid(classes.logits[:, 0] * self._slope + self._offset)
        found["poses"] = classes.poses[:, 0]
        if classes.assignments is not None:
            found["class_assignments"] = classes.assignments[:, 0]
        return {name: found[name] for name in outputs}

    def _route(self, name: str, activations: Floats, poses: Floats, outputs: Collection[str], threads: int) -> Parents:
        output = "class_assignments" if name == CLASS_LAYER else f"{name}_assignments"
        return self._layers[name].route(poses, activations, assignments=output in outputs, threads=threads)


def _stem(folder: Path, metadata: Metadata, threads: int, runtime: Any) -> Any:
    """The session of the layers below routing."""
    above = [name for name in metadata.outputs() if name not in STEM]
    return load(folder / "model.onnx", CPU, threads=threads, without=above, runtime=runtime).session


def _layer(name: str, metadata: Metadata, config: Network, weights: dict[str, Floats]) -> RoutedLayer:
    """A routed layer of the network."""
    names = [layer.name for layer in metadata.layers]
    layer, below = (metadata.layers[names.index(name) - step] for step in (0, 1))
    if layer.kernel is None or layer.stride is None:
        raise ValueError(f"the metadata have no kernel of {name}: model.onnx has format {metadata.format}")
    windows = WindowTables.of(below.grid, layer.kernel, layer.stride[0])
    of_classes = name == CLASS_LAYER
    return RoutedLayer(
        windows,
        weights[f"{name}.weights"],
        weights[f"{name}.beta_u"],
        weights[f"{name}.beta_a"],
        _coordinates(metadata, below.name) if of_classes and config.coordinate_addition else None,
        config.routing.constants(of_classes=of_classes),
    )


def _coordinates(metadata: Metadata, children: str) -> Floats:
    """Centres of the children's receptive fields, as shares of the crop: [site, 2] (paper, section 4)."""
    layer = metadata.layer(children)
    if layer is None or layer.receptive_field is None or metadata.pixels is None:
        raise ValueError(f"the metadata have no receptive field of {children}, or no crop")
    crop, field = metadata.pixels.crop, layer.receptive_field
    rows, columns = (
        (field.offset[axis] - start + np.arange(layer.grid[axis]) * field.stride[axis] + field.size[axis] / 2) / extent
        for axis, (start, extent) in enumerate(((crop.top, crop.height), (crop.left, crop.width)))
    )
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)


def _sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(−x)) without overflow."""
    found: Floats = np.exp(-np.logaddexp(np.float32(0), -logits))
    return found


def _read_config(path: Path) -> Config:
    try:
        return Config.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path.name}, {where}: {first['msg']}") from None
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from None


def _read_weights(path: Path) -> dict[str, Floats]:
    try:
        return dict(load_file(path))
    except Exception as error:  # its errors share no base class
        raise ValueError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
