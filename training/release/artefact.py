"""Reads a released artefact: its metadata, and its predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from tqdm import tqdm

from matcaps.training.release.runtime import Graph

BATCH = 16


class Artefact:
    """A released network, run in onnxruntime on the CPU.

    Args:
        path: A ``model.onnx``, or the folder of a version.

    Attributes:
        classes: Names of the classes, in their order.
        shape: Channels, height and width of its images.
        training: Its training record (``matcaps.training.release.record``); may be empty.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be loaded, or its metadata are not those of an artefact.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / "model.onnx" if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(
                f"no artefact at {self.path}; expected a version's folder, such as model_repository/mnist/5"
            )
        try:
            proto = onnx.load(self.path)
            self._graph = Graph(proto)
        except OSError:
            raise
        except Exception as error:  # protobuf and onnxruntime raise many classes
            raise ValueError(f"{self.path} cannot be loaded as ONNX: {type(error).__name__}: {error}") from error
        found = {entry.key: entry.value for entry in proto.metadata_props}
        try:
            image = json.loads(found["matcaps.image"])
            self.classes = tuple(map(str, json.loads(found["matcaps.classes"])))
            self.shape = (int(image["channels"]), int(image["height"]), int(image["width"]))
            self.training: dict[str, Any] = dict(json.loads(found.get("matcaps.training", "{}")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} does not have the metadata of an artefact: {type(error).__name__} {error}"
            ) from error
        # The graph must agree with the metadata.
        expected = {"images": list(self.shape), "activations": [len(self.classes)]}
        shapes = {name: self._graph.shapes.get(name, [])[1:] for name in expected}
        if shapes != expected:
            raise ValueError(f"{self.path}: the metadata have the shapes {expected}, the graph has {shapes}")

    def predict(self, images: Tensor, *, progress: bool = False) -> Tensor:
        """The most active class of each image: uint8 [n, channels, height, width] to int64 [n].

        Raises:
            ValueError: The images have another size.
        """
        return self.activations(images, progress=progress).argmax(1)

    def activations(self, images: Tensor, *, progress: bool = False) -> Tensor:
        """The activations of the classes: uint8 [n, channels, height, width] to float32 [n, classes].

        Raises:
            ValueError: The images have another size.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"{self.path} takes images {list(self.shape)}, got {list(images.shape[1:])}")
        batches = tqdm(images.split(BATCH), desc="evaluating", unit="batch", disable=not progress, leave=False)
        found = [self._graph.run(batch.numpy(), ["activations"])["activations"] for batch in batches]
        return torch.from_numpy(np.concatenate(found))
