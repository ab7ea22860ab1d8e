"""The contract of a model file."""

import json
from typing import Any

import pytest

from matcaps.service.backends.artefact import read_metadata
from tests.support.doubles import CLASSES, metadata_values, output_shapes


def properties(**changes: Any) -> dict[str, str]:
    """Metadata as a file holds it; a change to None leaves an entry out."""
    values = {**metadata_values(), **changes}
    return {f"matcaps.{name}": json.dumps(value) for name, value in values.items() if value is not None}


def test_metadata_that_keeps_the_contract_is_read() -> None:
    """Every entry becomes an attribute."""
    metadata = read_metadata(properties())
    assert metadata.classes == CLASSES
    assert (metadata.image.channels, metadata.image.height, metadata.image.width) == (1, 8, 8)
    layer = metadata.layer("primary_caps")
    assert layer is not None
    assert (layer.grid, layer.types) == ((4, 3), 2)
    assert metadata.training["data_set"] == "made up"


def test_unknown_entries_are_ignored_and_the_training_record_is_optional() -> None:
    """Files may carry more metadata than the contract names."""
    metadata = read_metadata(properties(training=None, parity=None, mood="good") | {"author": "no JSON at all"})
    assert metadata.training == {}


@pytest.mark.parametrize("name", ["format", "classes", "image", "pixels", "layers", "routing_iterations"])
def test_a_missing_entry_is_refused(name: str) -> None:
    """The error names the entry."""
    with pytest.raises(ValueError, match=f"matcaps.{name}"):
        read_metadata(properties(**{name: None}))


LAYERS = metadata_values()["layers"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 3),
        ("format", True),
        ("pixels", None),
        ("pixels", {"height": 3, "width": 3}),
        ("pixels", {"height": 3, "width": 3, "crop": {"top": 3, "left": 0, "height": 6, "width": 6}}),
        ("layers", [{**layer, "kernel": None} for layer in LAYERS]),
        ("layers", [{**layer, "stride": [2, 1]} if "stride" in layer else layer for layer in LAYERS]),
        ("format", "1.0"),
        ("classes", []),
        ("classes", "abc"),
        ("classes", [1, 2, 3]),
        ("classes", ["a", "a", "b"]),
        ("image", {"channels": 1, "height": 8}),
        ("image", {"channels": 3, "height": 8, "width": 8}),
        ("image", {"channels": 1, "height": 0, "width": 8}),
        ("image", [1, 8, 8]),
        ("layers", LAYERS[1:]),
        ("layers", [*LAYERS, LAYERS[0]]),
        ("layers", [{**LAYERS[0], "grid": [4]}, *LAYERS[1:]]),
        ("layers", [{**LAYERS[0], "types": -1}, *LAYERS[1:]]),
        ("layers", {}),
        ("routing_iterations", 0),
        ("routing_iterations", "three"),
        ("training", "yesterday"),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: Any) -> None:
    """The error names the entry."""
    with pytest.raises(ValueError, match=f"matcaps.{name}"):
        read_metadata(properties(**{name: value}))


def test_an_entry_that_is_not_json_is_refused() -> None:
    """The error names the entry, also if its text is nested too deeply to be read."""
    for text in ("{", "nonsense", "[" * 100_000):
        with pytest.raises(ValueError, match=r"matcaps\.image is not JSON"):
            read_metadata({**properties(), "matcaps.image": text})


def test_the_outputs_follow_from_the_metadata() -> None:
    """Names and shapes are those of the stand-in, in the order in which the protocol lists them."""
    outputs = read_metadata(properties()).outputs()
    assert outputs == output_shapes()
    assert list(outputs)[:2] == ["activations", "poses"]
    assert list(outputs)[-4:] == ["class_assignments", "conv_caps_1_assignments", "conv_caps_2_assignments", "pixels"]


def test_format_1_has_no_assignments_of_convolutional_layers_and_no_pixels() -> None:
    """All its outputs are usual ones, whatever else its metadata say."""
    metadata = read_metadata(properties(format=1))
    outputs = output_shapes()
    for name in ("conv_caps_1_assignments", "conv_caps_2_assignments", "pixels"):
        outputs.pop(name)
    assert metadata.outputs() == outputs
    assert read_metadata(properties()).usual_outputs() == list(outputs)
