"""A network as files: saved and loaded it answers the same bits, and files that do not fit are named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from matcaps.model import CapsNet, RoutingConfig, tiny


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of an untrained network."""
    folder = tmp_path / "new" / "network"
    CapsNet(tiny()).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "config",
    [
        tiny(),
        replace(tiny(), classes=("é", "b"), pooled_channels=3, residual_blocks=1, crop_size=24, resolution=20),
        replace(tiny(), batch_norm=False, coordinate_addition=False, routing=RoutingConfig(competition="positions")),
    ],
)
def test_a_network_that_was_saved_answers_the_same_bits(config: Any, tmp_path: Path) -> None:
    """Norms and calibration are among the weights; the loaded network is in evaluation mode."""
    network = CapsNet(config)
    images = torch.randint(0, 256, (4, 1, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        network(images)
    network.calibration.set(2.5, -1.5)
    network.eval().save_pretrained(tmp_path)
    loaded = CapsNet.from_pretrained(str(tmp_path))
    assert not loaded.training
    assert loaded.config == config
    with torch.no_grad():
        expected, found = network(images, assignments=True), loaded(images, assignments=True)
    for before, after in zip(expected, found, strict=True):
        parts = [(before, after)] if isinstance(before, Tensor) else zip(before, after, strict=True)
        assert all(torch.equal(*pair) for pair in parts)


def test_a_folder_that_is_not_there_or_lacks_a_file_is_named(saved: Path, tmp_path: Path) -> None:
    """The error says which files were looked for."""
    with pytest.raises(
        FileNotFoundError, match=r"there is no folder \S+nothing; expected the folder of a released version"
    ):
        CapsNet.from_pretrained(tmp_path / "nothing")
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"network lacks model\.safetensors; expected"):
        CapsNet.from_pretrained(saved)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("network"), "config.json lacks the object network: it was not written by matcaps"),
        (lambda content: content["network"].pop("channels"), "config.json lacks network.channels"),
        (lambda content: content["network"]["routing"].pop("mass"), "config.json lacks network.routing.mass"),
        (lambda content: content["network"].update(depth=1), "config.json has the unknown network.depth"),
        (
            lambda content: content["network"]["routing"].update(depth=1),
            "config.json has the unknown network.routing.depth",
        ),
        (lambda content: content["network"].update(routing=3), "config.json: network.routing: "),
        (
            lambda content: content["network"].update(channels="1"),
            "network.channels: Input should be a valid integer, got '1'",
        ),
        (
            lambda content: content["network"].update(crop_size=99),
            "crop_size must lie between 17 and image_size=24, got 99",
        ),
    ],
)
def test_a_configuration_with_a_fault_is_one_line_that_names_the_field(saved: Path, change: Change, words: str) -> None:
    """A field that is missing, unknown, of another type or out of range."""
    content = json.loads((saved / "config.json").read_text())
    change(content)
    (saved / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"config\.json") as raised:
        CapsNet.from_pretrained(saved)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("stem.weight"), "lacks stem.weight, by the network of config.json"),
        (lambda weights: weights.update(more=torch.zeros(1)), "has the unknown more, by the network of config.json"),
        (
            lambda weights: weights.update({"conv_caps_1.beta_a": torch.zeros(4)}),
            "conv_caps_1.beta_a must be float32 [3] by config.json, got float32 [4]",
        ),
        (
            lambda weights: weights.update({"conv_caps_1.beta_a": torch.zeros(3).half()}),
            "conv_caps_1.beta_a must be float32 [3] by config.json, got float16 [3]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(saved: Path, change: Change, words: str) -> None:
    """A weight that is missing, unknown, or of another shape or type."""
    path = saved / "model.safetensors"
    weights = safetensors.torch.load(path.read_bytes())
    change(weights)
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(ValueError, match="safetensors") as raised:
        CapsNet.from_pretrained(saved)
    assert words in str(raised.value)


@pytest.mark.parametrize(("name", "kind"), [("config.json", "JSON"), ("model.safetensors", "safetensors")])
def test_a_damaged_file_is_named(saved: Path, name: str, kind: str) -> None:
    """A file that was cut is not what its name says."""
    content = (saved / name).read_bytes()
    for length in (0, 5, len(content) // 2):
        (saved / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{name} (is not JSON|cannot be read as {kind})"):
            CapsNet.from_pretrained(saved)


def test_a_network_of_another_precision_is_not_saved(tmp_path: Path) -> None:
    """It would answer other bits when it is loaded."""
    with pytest.raises(
        ValueError, match=r"only float32 networks are saved, .* is float64; call network\.float\(\) first"
    ):
        CapsNet(tiny()).double().save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
