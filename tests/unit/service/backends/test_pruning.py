"""A graph without some outputs answers the others as before, and computes nothing else."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from matcaps.service.backends.pruning import without_outputs
from tests.support.doubles import make_model

FORMAT_1 = Path(__file__).parents[3] / "data" / "format-1.onnx"


def test_only_the_unwanted_outputs_and_their_nodes_are_gone() -> None:
    """Everything else of the file is unchanged: metadata, inputs, constants and the order of nodes."""
    model = make_model()
    unwanted = ["pixels", "conv_caps_1_assignments", "no output"]
    found = onnx.load_from_string(without_outputs(model.SerializeToString(), unwanted))
    onnx.checker.check_model(found)
    for name in unwanted[:2]:
        for node in [node for node in model.graph.node if node.output[0] in (name, f"{name}_sum", f"{name}_means")]:
            model.graph.node.remove(node)
        model.graph.output.remove(next(output for output in model.graph.output if output.name == name))
    assert found == model


@pytest.mark.parametrize("kept", ["activations", "primary_caps_poses", "class_assignments"])
def test_an_exported_graph_answers_the_same_bits(kept: str) -> None:
    """The nodes that a kept output needs are all there, and those that it does not need are not."""
    content = FORMAT_1.read_bytes()
    whole = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in whole.get_outputs()]
    pruned = without_outputs(content, [name for name in names if name != kept])
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 18, 18), np.uint8)
    session = onnxruntime.InferenceSession(pruned, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [kept]
    np.testing.assert_array_equal(session.run(None, {"images": images})[0], whole.run([kept], {"images": images})[0])
    before, after = (len(onnx.load_from_string(graph).graph.node) for graph in (content, pruned))
    assert after < before


def test_nothing_changes_without_unwanted_outputs() -> None:
    """The bytes are those of the file."""
    content = FORMAT_1.read_bytes()
    assert without_outputs(content, ["pixels"]) == content
