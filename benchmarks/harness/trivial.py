"""A network that costs almost nothing, so that the service is measured and not the network."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 48  # pixels of an image, as smallNORB is served
CLASSES = ["animal", "human", "airplane", "truck", "car"]
GRIDS = {"primary_caps": (2, 2), "conv_caps_1": (2, 2), "conv_caps_2": (1, 1)}


def metadata_values() -> dict[str, Any]:
    """The artefact's metadata, before it becomes JSON."""
    field = {"size": [3, 3], "stride": [1, 1], "offset": [0, 0]}
    layers = [{"name": name, "grid": list(grid), "types": 1} for name, grid in GRIDS.items()]
    layers.append({"name": "class_caps", "grid": [1, 1], "types": len(CLASSES)})
    return {
        "format": 1,
        "classes": CLASSES,
        "image": {"channels": 1, "height": SIDE, "width": SIDE},
        "layers": [{**layer, "receptive_field": field} for layer in layers],
        "routing_iterations": 3,
        "training": {"data_set": "none"},
        "parity": {"activations": 0.0},
    }


def output_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of all outputs, without the batch."""
    shapes: dict[str, tuple[int, ...]] = {"activations": (len(CLASSES),), "poses": (len(CLASSES), 4, 4)}
    for name, (rows, columns) in GRIDS.items():
        shapes[f"{name}_activations"] = (rows * columns, 1)
        shapes[f"{name}_poses"] = (rows * columns, 1, 4, 4)
    shapes["class_assignments"] = (1, 1, len(CLASSES))
    return shapes


def make_model() -> onnx.ModelProto:
    """Element k of each output of a sample is (mean pixel + k) / 1000."""
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, SIDE, SIDE])
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
        numpy_helper.from_array(np.array(1e-3, np.float32), "scale"),
    ]
    outputs = []
    for name, shape in output_shapes().items():
        constants.append(numpy_helper.from_array(elements(shape), f"{name}_elements"))
        constants.append(numpy_helper.from_array(np.array([-1, *([1] * len(shape))]), f"{name}_column"))
        nodes.append(helper.make_node("Reshape", ["means", f"{name}_column"], [f"{name}_means"]))
        nodes.append(helper.make_node("Add", [f"{name}_means", f"{name}_elements"], [f"{name}_sum"]))
        nodes.append(helper.make_node("Mul", [f"{name}_sum", "scale"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    graph = helper.make_graph(nodes, "trivial", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {f"matcaps.{name}": json.dumps(value) for name, value in metadata_values().items()})
    return model


def elements(shape: tuple[int, ...]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """0, 1, 2 … in a shape."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def write_model(folder: Path, name: str = "smallnorb") -> Path:
    """Write the network to its place in a folder of models."""
    path = folder / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(make_model().SerializeToString())
    return path


def png(seed: int = 0) -> bytes:
    """A 48×48 PNG of random greys, about two kilobytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
