"""What a model file must say of itself."""

import json
from typing import Any

import pytest

from matcaps.service.backends.artefact import read_metadata
from tests.support.doubles import CLASSES, metadata_values


def properties(**changes: Any) -> dict[str, str]:
    """Metadata as it stands in a file; a change to None leaves an entry out."""
    values = {**metadata_values(), **changes}
    return {f"matcaps.{name}": json.dumps(value) for name, value in values.items() if value is not None}


def test_contract() -> None:
    """Metadata that keeps the contract is read as it stands."""
    metadata = read_metadata(properties())
    assert metadata.classes == CLASSES
    assert (metadata.image.channels, metadata.image.height, metadata.image.width) == (1, 8, 8)
    layer = metadata.layer("primary_caps")
    assert layer is not None
    assert (layer.grid, layer.types) == ((4, 3), 2)
    assert metadata.training["data_set"] == "made up"


def test_more_than_the_contract() -> None:
    """Keys that the contract does not know do no harm, and records of training may be absent."""
    metadata = read_metadata(properties(training=None, parity=None, mood="good") | {"author": "no JSON at all"})
    assert metadata.training == {}


@pytest.mark.parametrize("name", ["format", "classes", "image", "layers", "routing_iterations"])
def test_what_is_missing_is_named(name: str) -> None:
    """A file without an entry that is needed is refused by that entry's name."""
    with pytest.raises(ValueError, match=f"matcaps.{name}"):
        read_metadata(properties(**{name: None}))


LAYERS = metadata_values()["layers"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
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
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    """An entry with a wrong value is refused by its name."""
    with pytest.raises(ValueError, match=f"matcaps.{name}"):
        read_metadata(properties(**{name: value}))


def test_what_is_no_json_is_named() -> None:
    """An entry that is no JSON is refused by its name, however deep it is nested."""
    for text in ("{", "nonsense", "[" * 100_000):
        with pytest.raises(ValueError, match=r"matcaps\.image is no JSON"):
            read_metadata({**properties(), "matcaps.image": text})
