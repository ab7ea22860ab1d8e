"""The exported ONNX graph: the network's results, from operators that all run on a GPU."""

import copy
import json
from dataclasses import replace
from itertools import pairwise, product
from operator import itemgetter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from matcaps.model import CapsNet, RoutingConfig, standardise, tiny
from matcaps.model.capsules import RoutedCaps
from matcaps.model.export import OPSET, OUTPUTS, export, metadata, outputs
from matcaps.model.routing.eager import em_routing
from matcaps.training.release.runtime import Graph
from tests.support.reference import reference_routing
from tests.support.routing_cases import Case

# Each of these computes shapes or control flow, which onnxruntime leaves on the CPU.
REFUSED = {"Shape", "ConstantOfShape", "Range", "NonZero", "If", "Loop", "Scan"}


@pytest.fixture(scope="module")
def graph(exported: onnx.ModelProto) -> Graph:
    return Graph(exported)


def batches() -> list[Tensor]:
    """Random, even, black and white images in batches of 1, 2, 8 and 33."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for size in (1, 2, 8, 33):
        found.append(torch.randint(0, 256, (size, 1, 24, 24), generator=generator, dtype=torch.uint8))
        levels = torch.randint(0, 256, (size, 1, 1, 1), generator=generator, dtype=torch.uint8)
        found.append(levels.expand(size, 1, 24, 24).contiguous())
        found += [torch.full((size, 1, 24, 24), level, dtype=torch.uint8) for level in (0, 255)]
    return found


@pytest.mark.parametrize("images", batches(), ids=lambda images: f"{len(images)}-{float(images.float().std()):.0f}")
def test_graph_and_network_agree(network: CapsNet, graph: Graph, images: Tensor) -> None:
    """All outputs of the graph are those of the network within 1e-5, at any batch size and for any images."""
    with torch.no_grad():
        expected = outputs(network(images, assignments=True))
    found = graph.run(images.numpy())
    assert list(found) == list(OUTPUTS)
    for name, values in zip(OUTPUTS, expected, strict=True):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("pooled_channels", "residual_blocks"), [(0, 0), (3, 2)])
def test_a_graph_shrinks_its_crop_as_the_network_does(pooled_channels: int, residual_blocks: int) -> None:
    """The weights of the averaging are constants in the file, with and without the optional layers below."""
    torch.manual_seed(0)
    once = replace(tiny().routing, iterations=1)  # routing has its own tests, and its export takes long
    config = replace(tiny(), crop_size=24, resolution=18, routing=once)
    network = CapsNet(replace(config, pooled_channels=pooled_channels, residual_blocks=residual_blocks)).eval()
    proto = export(network)
    assert not {node.op_type for node in proto.graph.node} & REFUSED
    graph = Graph(proto)
    for images in batches():
        with torch.no_grad():
            expected = outputs(network(images, assignments=True))
        found = graph.run(images.numpy())
        for name, values in zip(OUTPUTS, expected, strict=True):
            np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_graph_in_which_types_compete_by_themselves_agrees_with_the_network() -> None:
    """The competition is in the graph: its results differ from those of the other competition."""
    torch.manual_seed(0)
    routing = RoutingConfig(iterations=2, density_temperature=4.0, competition="positions")
    config = replace(tiny(), crop_size=24, routing=routing)
    network = CapsNet(config).eval()
    proto = export(network)
    assert not {node.op_type for node in proto.graph.node} & REFUSED
    graph = Graph(proto)
    for images in batches():
        with torch.no_grad():
            expected = outputs(network(images, assignments=True))
        found = graph.run(images.numpy())
        for name, values in zip(OUTPUTS, expected, strict=True):
            np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
    check_shares(graph, network, batches()[0], each_type=True)
    others = CapsNet(replace(config, routing=replace(routing, competition="parents"))).eval()
    others.load_state_dict(network.state_dict())
    images = batches()[0]
    with torch.no_grad():
        different = others(images).poses.numpy()
    assert not np.allclose(graph.run(images.numpy())["poses"], different, rtol=1e-3, atol=1e-3)


def check_shares(graph: Graph, network: CapsNet, images: Tensor, *, each_type: bool) -> None:
    """A child that any window sees has assignments of 1 over all its parents, or over those of each type."""
    found = graph.run(images.numpy())
    layers = metadata(network)["layers"]
    for below, layer in pairwise(layers[:3]):
        assignments = found[f"{layer['name']}_assignments"]
        totals = np.zeros((*below["grid"], len(images), *assignments.shape[3:]))
        (rows, columns), (high, wide), (down, right) = layer["grid"], layer["kernel"], layer["stride"]
        for place, (y, x, row, column) in enumerate(product(*map(range, (rows, columns, high, wide)))):
            site, position = divmod(place, high * wide)
            totals[y * down + row, x * right + column] += assignments[:, site, position]
        shares = totals if each_type else totals.sum(-1)
        seen = totals.any((2, 3, 4))
        assert seen.sum() == ((rows - 1) * down + high) * ((columns - 1) * right + wide)
        np.testing.assert_allclose(shares[seen], 1.0, atol=1e-5)


def test_every_child_shares_itself_among_its_parents(network: CapsNet, graph: Graph) -> None:
    """Kernel and stride of the metadata tell which child each assignment belongs to."""
    check_shares(graph, network, batches()[0], each_type=False)


def test_assignments_are_those_of_the_procedure(network: CapsNet, graph: Graph) -> None:
    """From the children that the graph answers, the loops in float64 find the assignments that it answers."""
    found = {name: torch.from_numpy(values).double() for name, values in graph.run(batches()[4].numpy()).items()}
    for below, name in (("primary_caps", "conv_caps_1"), ("conv_caps_1", "conv_caps_2")):
        caps = copy.deepcopy(network.get_submodule(name)).double()
        assert isinstance(caps, RoutedCaps)
        windows = caps.windows
        expected = reference_routing(
            found[f"{below}_poses"],
            found[f"{below}_activations"],
            caps.weights,
            caps.beta_u,
            caps.beta_a,
            windows.child_grid,
            windows.kernel,
            windows.stride,
            caps.routing,
        )
        torch.testing.assert_close(found[f"{name}_assignments"], expected.assignments, rtol=0, atol=1e-5)


def test_pixels_are_what_the_first_layer_sees(network: CapsNet, graph: Graph) -> None:
    """They are the standardised crop."""
    for images in batches():
        expected = standardise(images, network.config)
        np.testing.assert_allclose(graph.run(images.numpy())["pixels"], expected, rtol=1e-5, atol=1e-5)


def test_every_level_of_grey_is_finite(graph: Graph) -> None:
    """Even images of all 256 levels, and single pixels on black and on white, answer finite numbers."""
    even = np.arange(256, dtype=np.uint8)[:, None, None, None].repeat(24, 2).repeat(24, 3)
    single = np.zeros((2, 1, 24, 24), np.uint8)
    single[1] = 255
    single[:, 0, 12, 12] = (255, 0)
    for name, values in graph.run(np.concatenate([even, single])).items():
        assert np.isfinite(values).all(), name


def test_operators_are_static(exported: onnx.ModelProto) -> None:
    """No operator computes a shape or branches, and every reshape target is a constant with at most one −1."""
    assert not {node.op_type for node in exported.graph.node} & REFUSED
    assert {node.domain for node in exported.graph.node} <= {"", "ai.onnx"}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in exported.graph.initializer}
    reshapes = [node for node in exported.graph.node if node.op_type == "Reshape"]
    assert reshapes
    for node in reshapes:
        assert (constants[node.input[1]] == -1).sum() <= 1


class Router(nn.Module):
    """A layer's routing with the votes of one parent type at a time; children are as active as a pose element says."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.windows, self.config = case.windows(torch.float32), case.config
        for name, values in zip(("weights", "beta_u", "beta_a"), case.inputs(torch.float32)[2:], strict=True):
            self.register_buffer(name, values)

    def forward(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        activations = poses[..., 0, 0].sigmoid()
        parameters = self.get_buffer("weights"), self.get_buffer("beta_u"), self.get_buffer("beta_a")
        routed = em_routing(poses, activations, *parameters, self.windows, self.config, votes_at_once=1)
        return routed.activation_logits, routed.poses


def test_onnxruntime_keeps_to_the_layout_and_the_order_of_votes(tmp_path: Path) -> None:
    """No transpose becomes part of a product, weights wait expanded, and only one block's squares wait at a time."""
    case = Case((6, 6), (3, 3), 1, 4, 6, RoutingConfig(), batch=2)
    poses, router = case.inputs(torch.float32)[0], Router(case).eval()
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(router, (poses,), dynamic_shapes=({0: batch},), opset_version=OPSET, dynamo=True)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"poses": poses.numpy()})
    for values, expected in zip(found, router(poses), strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    events = json.loads(Path(session.end_profiling()).read_text())

    nodes = {node.name: node for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert not [node for node in nodes.values() if node.op_type in ("FusedMatMul", "Expand")]
    kernels = [event for event in events if event["name"].endswith("_kernel_time")]
    order = [nodes[event["name"].removesuffix("_kernel_time")] for event in sorted(kernels, key=itemgetter("ts"))]
    squares = [node for node in order if node.op_type == "Mul" and node.input[0] == node.input[1]]
    assert len(squares) == 3 * case.parent_types
    waiting: set[str] = set()
    for node in order:
        if node in squares:
            assert not waiting
            waiting = {user.name for user in order if node.output[0] in user.input}
        waiting.discard(node.name)


def test_batch_is_the_only_open_dimension(exported: onnx.ModelProto) -> None:
    """Inputs and outputs have the types and shapes of the contract, with the batch left open."""
    onnx.checker.check_model(exported, full_check=True)
    found = {
        value.name: (
            value.type.tensor_type.elem_type,
            [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim],
        )
        for value in (*exported.graph.input, *exported.graph.output)
    }
    real = onnx.TensorProto.FLOAT
    assert found == {
        "images": (onnx.TensorProto.UINT8, ["batch", 1, 24, 24]),
        "activations": (real, ["batch", 3]),
        "poses": (real, ["batch", 3, 4, 4]),
        "primary_caps_activations": (real, ["batch", 64, 2]),
        "primary_caps_poses": (real, ["batch", 64, 2, 4, 4]),
        "conv_caps_1_activations": (real, ["batch", 9, 3]),
        "conv_caps_1_poses": (real, ["batch", 9, 3, 4, 4]),
        "conv_caps_2_activations": (real, ["batch", 1, 4]),
        "conv_caps_2_poses": (real, ["batch", 1, 4, 4, 4]),
        "class_assignments": (real, ["batch", 1, 4, 3]),
        "conv_caps_1_assignments": (real, ["batch", 9, 9, 2, 3]),
        "conv_caps_2_assignments": (real, ["batch", 1, 9, 3, 4]),
        "pixels": (real, ["batch", 1, 20, 20]),
    }


def test_metadata_is_json_of_the_contract(exported: onnx.ModelProto) -> None:
    """Every value is JSON, and says what the configuration says."""
    found = {entry.key: json.loads(entry.value) for entry in exported.metadata_props}
    assert found["matcaps.format"] == 2
    assert found["matcaps.classes"] == ["circle", "square", "triangle"]
    assert found["matcaps.image"] == {"channels": 1, "height": 24, "width": 24}
    assert found["matcaps.pixels"] == {
        "height": 20,
        "width": 20,
        "crop": {"top": 2, "left": 2, "height": 20, "width": 20},
    }
    assert found["matcaps.routing_iterations"] == 3
    assert found["matcaps.training"] == {"data_set": "shapes", "epochs": 0}
    layers = {layer["name"]: layer for layer in found["matcaps.layers"]}
    assert list(layers) == ["primary_caps", "conv_caps_1", "conv_caps_2", "class_caps"]
    assert layers["conv_caps_1"] == {
        "name": "conv_caps_1",
        "grid": [3, 3],
        "types": 3,
        "kernel": [3, 3],
        "stride": [2, 2],
        "receptive_field": {"size": [9, 9], "stride": [4, 4], "offset": [2, 2]},
    }
