"""Metadata of an exported network, and what export rejects. The graph has its tests in tests/integration."""

from dataclasses import replace

import onnx
import pytest
import torch

from matcaps.model import CapsNet, small_norb, tiny
from matcaps.model.export import export, metadata, outputs, set_metadata


def test_metadata_is_replaced_not_doubled() -> None:
    """Setting a value again leaves one entry of its name."""
    proto = onnx.ModelProto()
    set_metadata(proto, {"training": {"epochs": 0}})
    set_metadata(proto, {"training": {"epochs": 1}})
    found = [entry.value for entry in proto.metadata_props if entry.key == "matcaps.training"]
    assert found == ['{"epochs": 1}']


def test_receptive_fields_are_in_pixels_of_the_whole_image() -> None:
    """On smallNORB the crop begins 8 pixels inside the 48×48 image, and the fields of a layer with it."""
    layers = {layer["name"]: layer for layer in metadata(CapsNet(small_norb()))["layers"]}
    assert layers["conv_caps_2"]["receptive_field"] == {"size": [17, 17], "stride": [4, 4], "offset": [8, 8]}
    shrunk = replace(small_norb(), crop_size=48, resolution=32)
    layers = {layer["name"]: layer for layer in metadata(CapsNet(shrunk))["layers"]}
    assert layers["conv_caps_2"]["receptive_field"] == {"size": [25.5, 25.5], "stride": [6, 6], "offset": [0, 0]}
    pooled = replace(shrunk, pooled_channels=32)
    layers = {layer["name"]: layer for layer in metadata(CapsNet(pooled))["layers"]}
    assert layers["conv_caps_2"]["receptive_field"] == {"size": [39, 39], "stride": [6, 6], "offset": [-6, -6]}


def test_pixels_have_their_size_and_their_place_in_the_image() -> None:
    """A reader can draw them beside the picture: the crop is where they come from."""
    shrunk = replace(small_norb(), crop_size=36, resolution=32)
    crop = {"top": 6, "left": 6, "height": 36, "width": 36}
    assert metadata(CapsNet(shrunk))["pixels"] == {"height": 32, "width": 32, "crop": crop}


def test_routed_layers_have_their_windows() -> None:
    """Kernel and stride are counted in sites of the layer below; primary capsules have no windows."""
    layers = {layer["name"]: layer for layer in metadata(CapsNet(small_norb()))["layers"]}
    windows = {name: (layer.get("kernel"), layer.get("stride")) for name, layer in layers.items()}
    assert windows == {
        "primary_caps": (None, None),
        "conv_caps_1": ([3, 3], [2, 2]),
        "conv_caps_2": ([3, 3], [1, 1]),
        "class_caps": ([4, 4], [1, 1]),
    }


def test_outputs_are_those_of_a_prediction_with_assignments() -> None:
    """Without them there is nothing to compare a graph with."""
    network = CapsNet(tiny()).eval()
    with pytest.raises(ValueError, match="assignments=True"):
        outputs(network(torch.zeros(2, 1, 24, 24, dtype=torch.uint8)))


def test_export_of_a_network_in_training_is_refused() -> None:
    """Batch statistics must not get into an artefact."""
    with pytest.raises(ValueError, match="evaluation mode"):
        export(CapsNet(tiny()).train())
