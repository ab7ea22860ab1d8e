"""A run that starts from a trained network takes over what fits its classes, and says what it did not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.baselines import ConvNet
from matcaps.training.engine.start import Start, describe_start, digest_of, open_start, take_over

OTHER = replace(tiny(), classes=("cat", "dog"))


@pytest.fixture
def start(network: CapsNet) -> Start:
    """A trained network of circles, squares and triangles."""
    return Start("shapes", digest_of(network), network)


def test_everything_is_taken_over_for_the_same_classes(start: Start) -> None:
    """The class layer and its calibration too; nothing is new."""
    network = CapsNet(tiny())
    taken = take_over(network, start)
    assert taken.keys() == network.state_dict().keys()
    text = describe_start(start, network, taken)
    assert text.startswith(f"starts from shapes (digest {start.digest[:16]})\n  taken over: stem, ")
    assert "new" not in text


@pytest.mark.parametrize("classes", [("cat", "dog"), ("square", "circle", "triangle")])
def test_the_class_layer_starts_anew_for_other_classes(start: Start, classes: tuple[str, ...]) -> None:
    """Classes in another order are other classes; the text names what is new and why."""
    network = CapsNet(replace(tiny(), classes=classes))
    taken = take_over(network, start)
    left = set(network.state_dict()) - taken.keys()
    assert {name.partition(".")[0] for name in left} == {"class_caps", "calibration"}
    text = describe_start(start, network, taken).splitlines()
    assert text[1] == "  taken over: stem, stem_norm, primary_caps, conv_caps_1, conv_caps_2"
    assert text[2] == "  new: class_caps, calibration; the classes there were circle, square, triangle"


def test_the_last_layer_of_a_cnn_starts_anew(start: Start) -> None:
    """The CNN of other classes keeps all but its last layer."""
    taken = take_over(ConvNet(OTHER), Start("cnn", "", ConvNet(tiny())))
    assert {name.partition(".")[0] for name in taken} == {"conv_1", "conv_2", "hidden"}


def test_another_architecture_is_refused_by_its_fields(start: Start) -> None:
    """Each differing field is named with both values; classes do not count."""
    with pytest.raises(
        ValueError, match=r"another network: image_size is 28, theirs 24, primary_types is 5, theirs 2$"
    ):
        take_over(CapsNet(replace(OTHER, image_size=28, primary_types=5)), start)
    with pytest.raises(ValueError, match="expected weights of CNN, got those of capsules"):
        take_over(ConvNet(OTHER), start)


def test_a_digest_is_that_of_names_and_values(network: CapsNet) -> None:
    """Equal weights have equal digests; one other number is another digest."""
    copy = CapsNet(tiny())
    copy.load_state_dict(network.state_dict())
    assert digest_of(copy) == digest_of(network)
    with torch.no_grad():
        copy.class_caps.beta_a[0] += 1.0
    assert digest_of(copy) != digest_of(network)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    """A folder without a checkpoint, no folder at all, and a damaged checkpoint."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=f"no checkpoint at {path / 'last.pt'}: --start-from must name"):
            open_start(path)
    (tmp_path / "last.pt").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"last\.pt is not a complete checkpoint"):
        open_start(tmp_path)


def test_a_released_version_can_be_started_from(tmp_path: Path, network: CapsNet) -> None:
    """By its folder or its file; the name has the model and the version, and no path."""
    version = tmp_path / "shapes" / "7"
    network.save_pretrained(version)
    for path in (version, version / "model.safetensors"):
        start = open_start(path)
        assert (start.name, start.digest) == ("shapes/7", digest_of(network))
        assert start.network.config == network.config
    network.save_pretrained(tmp_path / "mine")
    assert open_start(tmp_path / "mine").name == "mine"


def test_what_is_no_version_with_weights_is_named(tmp_path: Path, network: CapsNet) -> None:
    """A model's folder, a version without weights, one without its configuration, and damaged weights."""
    version = tmp_path / "shapes" / "10"
    for number in ("9", "10"):
        network.save_pretrained(tmp_path / "shapes" / number)
    with pytest.raises(FileNotFoundError, match=f"holds several versions; name one, such as {version}$"):
        open_start(tmp_path / "shapes")
    (version / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read as safetensors"):
        open_start(version)
    (tmp_path / "shapes" / "9" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks config\.json"):
        open_start(tmp_path / "shapes" / "9")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.onnx").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"old was released without model\.safetensors; start from its run, or release"
    ):
        open_start(tmp_path / "old")
