"""The network as one ONNX file: uint8 images in, activations and poses out, with a free batch size."""

import json
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from matcaps.model.network import CapsNet, Prediction

OPSET = 18
FORMAT = 1
OUTPUTS = (
    "activations",
    "poses",
    "primary_caps_activations",
    "primary_caps_poses",
    "conv_caps_1_activations",
    "conv_caps_1_poses",
    "conv_caps_2_activations",
    "conv_caps_2_poses",
    "class_assignments",
)


class _Flat(nn.Module):
    """The network with a flat tuple of outputs, in the order of ``OUTPUTS``."""

    def __init__(self, network: CapsNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return outputs(self.network(images))


def outputs(prediction: Prediction) -> tuple[Tensor, ...]:
    """The tensors of a prediction in the order of ``OUTPUTS``."""
    layers = (prediction.primary_caps, prediction.conv_caps_1, prediction.conv_caps_2)
    return (
        prediction.activations,
        prediction.poses,
        *(tensor for layer in layers for tensor in layer),
        prediction.class_assignments,
    )


def export(network: CapsNet, records: dict[str, Any] | None = None) -> onnx.ModelProto:
    """The ONNX graph of a network in evaluation mode, with its metadata.

    Args:
        network: A network on the CPU.
        records: More metadata by name (``training``, ``parity``), each stored as JSON under ``matcaps.<name>``.

    Raises:
        ValueError: The network is in training mode.
    """
    if network.training:
        raise ValueError("export takes a network in evaluation mode; call network.eval() first")
    config = network.config
    example = torch.zeros(2, config.channels, config.image_size, config.image_size, dtype=torch.uint8)
    program = torch.onnx.export(
        _Flat(network).eval(),
        (example,),
        input_names=["images"],
        output_names=list(OUTPUTS),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del proto.metadata_props[:]
    del proto.graph.value_info[:]  # inner shapes, which readers infer: 5 % of the file
    set_metadata(proto, {**metadata(network), **(records or {})})
    return proto


def set_metadata(proto: onnx.ModelProto, values: dict[str, Any]) -> None:
    """Store values as JSON under ``matcaps.<name>``; earlier values of these names are replaced."""
    present = {entry.key: entry for entry in proto.metadata_props}
    for name, value in values.items():
        key = f"matcaps.{name}"
        entry = present.get(key) or proto.metadata_props.add(key=key)
        entry.value = json.dumps(value, ensure_ascii=False)


def metadata(network: CapsNet) -> dict[str, Any]:
    """Metadata of a network: format, classes, image, layers and routing iterations."""
    config = network.config
    margin = (config.image_size - config.crop_size) // 2
    types = {
        "primary_caps": config.primary_types,
        "conv_caps_1": config.conv_types_1,
        "conv_caps_2": config.conv_types_2,
    }
    pixels = config.crop_size / config.input_size  # pixels of the image for one of the first layer's input
    layers = [
        {
            "name": name,
            "grid": [field.grid, field.grid],
            "types": types[name],
            "receptive_field": {
                "size": [field.size * pixels] * 2,
                "stride": [field.stride * pixels] * 2,
                "offset": [margin + field.start * pixels] * 2,
            },
        }
        for name, field in network.fields.items()
    ]
    crop = [config.crop_size, config.crop_size]
    layers.append(
        {
            "name": "class_caps",
            "grid": [1, 1],
            "types": len(config.classes),
            "receptive_field": {"size": crop, "stride": crop, "offset": [margin, margin]},
        }
    )
    return {
        "format": FORMAT,
        "classes": list(config.classes),
        "image": {"channels": config.channels, "height": config.image_size, "width": config.image_size},
        "layers": layers,
        "routing_iterations": config.routing.iterations,
    }
