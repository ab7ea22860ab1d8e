"""What the clients return. Arrays hold the numbers of the answer unchanged: six decimals, in float64."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer of ``/predict``: a row for each picture, or for each pair of a stereo model.

    Attributes:
        id: Under which the service keeps the poses for a while; see ``kept_poses``.
        model: Name of the model that answered.
        version: Its version.
        classes: Names of the classes, in the order of the columns.
        labels: The class with the highest activation, for each sample.
        activations: [sample, class], each in [0, 1].
        poses: [sample, class, 4, 4].
    """

    id: str
    model: str
    version: int
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    activations: Array
    poses: Array


@dataclass(frozen=True, eq=False)
class LayerPoses:
    """The pose matrices of one layer of capsules.

    Attributes:
        id: Under which the service keeps the poses of the classes for a while.
        model: Name of the model that answered.
        version: Its version.
        layer: Name of the layer.
        grid: Rows and columns of the layer.
        classes: Names of the classes for the layer ``class_caps``, and nothing for others.
        poses: [sample, class, 4, 4] for ``class_caps``, otherwise [sample, row, column, type, 4, 4].
    """

    id: str
    model: str
    version: int
    layer: str
    grid: tuple[int, int]
    classes: tuple[str, ...]
    poses: Array


@dataclass(frozen=True)
class Layer:
    """A layer of capsules: its name, its rows and columns, and its types of capsules."""

    name: str
    grid: tuple[int, int]
    types: int


@dataclass(frozen=True)
class Model:
    """A version of a model that is served.

    Attributes:
        name: Its name.
        version: Its version.
        versions: All versions of that name that are served.
        default: Whether requests that name no model get it.
        provider: Where onnxruntime runs it.
        classes: Names of the classes.
        channels: Pictures per sample: 1, or 2 (left and right). 3: one colour picture.
        height: Rows that the network sees; pictures of any size are resized.
        width: Columns.
        layers: Its layers of capsules, the lowest first.
        training: The training record.
    """

    name: str
    version: int
    versions: tuple[int, ...]
    default: bool
    provider: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    layers: tuple[Layer, ...]
    training: Mapping[str, Any]
