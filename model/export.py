"""The network as one ONNX file: uint8 images in, capsules and assignments out, with a free batch size."""

import json
from typing import Any

import onnx
import onnx.utils
import torch
from torch import Tensor, nn

from matcaps.model.network import CapsNet, Prediction, ReceptiveField
from matcaps.model.windows import Windows

OPSET = 18
FORMAT = 2
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
    "conv_caps_1_assignments",
    "conv_caps_2_assignments",
    "pixels",
)


STEM_OUTPUTS = ("primary_caps_activations", "primary_caps_poses", "pixels")


class _Flat(nn.Module):
    """The network with a flat tuple of outputs, in the order of ``OUTPUTS``."""

    def __init__(self, network: CapsNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return outputs(self.network(images, assignments=True))


def outputs(prediction: Prediction) -> tuple[Tensor, ...]:
    """The tensors of a prediction in the order of ``OUTPUTS``.

    Raises:
        ValueError: The prediction has no assignments of ConvCaps1 and ConvCaps2.
    """
    if prediction.conv_caps_1_assignments is None or prediction.conv_caps_2_assignments is None:
        raise ValueError("outputs takes a prediction with assignments; call network(images, assignments=True)")
    layers = (prediction.primary_caps, prediction.conv_caps_1, prediction.conv_caps_2)
    return (
        prediction.activations,
        prediction.poses,
        *(tensor for layer in layers for tensor in layer),
        prediction.class_assignments,
        prediction.conv_caps_1_assignments,
        prediction.conv_caps_2_assignments,
        prediction.pixels,
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


def stem(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The part of an exported graph below routing: images in, standardised pixels and primary capsules out.

    The service runs it with onnxruntime, and the routed layers with the C++ kernel.
    """
    part = onnx.utils.Extractor(proto).extract_model(["images"], list(STEM_OUTPUTS))
    del part.graph.value_info[:]
    return part


def set_metadata(proto: onnx.ModelProto, values: dict[str, Any]) -> None:
    """Store values as JSON under ``matcaps.<name>``; earlier values of these names are replaced."""
    present = {entry.key: entry for entry in proto.metadata_props}
    for name, value in values.items():
        key = f"matcaps.{name}"
        entry = present.get(key) or proto.metadata_props.add(key=key)
        entry.value = json.dumps(value, ensure_ascii=False)


def metadata(network: CapsNet) -> dict[str, Any]:
    """Metadata of a network: format, classes, image, pixels, layers and routing iterations."""
    config = network.config
    margin = (config.image_size - config.crop_size) // 2
    pixels = config.crop_size / config.input_size  # pixels of the image for one of the first layer's input
    primary = network.fields["primary_caps"]
    layers = [_layer("primary_caps", primary.grid, config.primary_types, _field(primary, pixels, margin))]
    for name, caps in (("conv_caps_1", network.conv_caps_1), ("conv_caps_2", network.conv_caps_2)):
        field = network.fields[name]
        layers.append(_layer(name, field.grid, caps.weights.shape[2], _field(field, pixels, margin), caps.windows))
    crop = [config.crop_size] * 2
    whole = {"size": crop, "stride": crop, "offset": [margin] * 2}
    layers.append(_layer("class_caps", 1, len(config.classes), whole, network.class_caps.windows))
    return {
        "format": FORMAT,
        "classes": list(config.classes),
        "image": {"channels": config.channels, "height": config.image_size, "width": config.image_size},
        # The size of the output `pixels`, and the part of the image that it covers.
        "pixels": {
            "height": config.input_size,
            "width": config.input_size,
            "crop": {"top": margin, "left": margin, "height": config.crop_size, "width": config.crop_size},
        },
        "layers": layers,
        "routing_iterations": config.routing.iterations,
    }


def _layer(
    name: str, grid: int, types: int, receptive_field: dict[str, Any], windows: Windows | None = None
) -> dict[str, Any]:
    """One layer. Position (row, column) of parent site (y, x) is child site (y · stride + row, x · stride + column)."""
    routed = {} if windows is None else {"kernel": list(windows.kernel), "stride": [windows.stride] * 2}
    return {"name": name, "grid": [grid, grid], "types": types, **routed, "receptive_field": receptive_field}


def _field(field: ReceptiveField, pixels: float, margin: int) -> dict[str, Any]:
    """A receptive field in pixels of the image."""
    return {
        "size": [field.size * pixels] * 2,
        "stride": [field.stride * pixels] * 2,
        "offset": [margin + field.start * pixels] * 2,
    }
