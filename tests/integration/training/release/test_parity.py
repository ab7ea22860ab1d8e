"""A parity check notices a graph that differs from its network."""

import numpy as np
import onnx
import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.release.parity import ParityError, measure_parity

IMAGES = torch.randint(0, 256, (16, 1, 24, 24), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def altered(exported: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """A copy of the graph with one weight multiplied."""
    proto = onnx.ModelProto()
    proto.CopyFrom(exported)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name.endswith(name))
    changed = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * factor, tensor.name)
    tensor.CopyFrom(changed.__class__.FromString(changed.SerializeToString()))
    return proto


def test_the_differences_are_measured(network: CapsNet, exported: onnx.ModelProto) -> None:
    """An export differs from its network by rounding only."""
    found = measure_parity(network, exported, IMAGES)
    assert 0.0 < found["activations"] < 1e-5
    assert found["batches"] == [1, 2, 8]


def test_a_graph_that_differs_is_rejected(network: CapsNet, exported: onnx.ModelProto) -> None:
    """A weight of the graph that is off by a hundredth is found."""
    with pytest.raises(ParityError, match=r"differs from torch by .* at batch 1, expected at most 1e-04"):
        measure_parity(network, altered(exported, "stem.weight", 1.01), IMAGES)


@pytest.mark.parametrize("name", ["conv_caps_1_assignments", "conv_caps_2_assignments", "pixels"])
def test_every_output_is_compared(network: CapsNet, exported: onnx.ModelProto, name: str) -> None:
    """An output that alone is off by a hundredth is found."""
    proto = onnx.ModelProto()
    proto.CopyFrom(exported)
    (node,) = [node for node in proto.graph.node if name in node.output]
    node.output[list(node.output).index(name)] = "right"
    for user in proto.graph.node:
        for place, used in enumerate(user.input):
            if used == name:
                user.input[place] = "right"
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1.01, np.float32), "factor"))
    proto.graph.node.append(onnx.helper.make_node("Mul", ["right", "factor"], [name]))
    with pytest.raises(ParityError, match=f"{name} differs from torch by"):
        measure_parity(network, proto, IMAGES)


def test_a_graph_that_is_not_finite_is_rejected(network: CapsNet, exported: onnx.ModelProto) -> None:
    """Outputs that overflow are found before they are compared."""
    with pytest.raises(ParityError, match="is not finite for real images"):
        measure_parity(network, altered(exported, "stem.weight", float("inf")), IMAGES)


def test_too_few_images_are_rejected(network: CapsNet, exported: onnx.ModelProto) -> None:
    """Fewer images than the largest batch cannot compare it."""
    with pytest.raises(ParityError, match="at least 8 images are needed to compare batches, got 7"):
        measure_parity(network, exported, IMAGES[:7])
