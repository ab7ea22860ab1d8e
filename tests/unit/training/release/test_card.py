"""A model card says what is known of a network, and what is not."""

from typing import Any

import pytest

from matcaps.model import CapsNet, tiny
from matcaps.model.export import metadata
from matcaps.training.release.card import model_card


def card_of(record: dict[str, Any], name: str = "shapes", channels: int = 1) -> str:
    """The card of the smallest network with a training record."""
    parity = {"activations": 2e-7, "poses": 3.2e-6}
    return model_card(name, 3, {**metadata(CapsNet(tiny(channels))), "training": record, "parity": parity})


def test_a_card_has_the_protocol_and_the_figures() -> None:
    """Data, protocol, command, error and calibration come from the record, and parity from the check."""
    calibration = {"images": 10, "calibration_error": 0.0123, "by_chance": 0.004, "brier": 0.05}
    record = {
        "data_set": "fashion-mnist",
        "protocol": "10000 images held out, drawn by seed 0",
        "command": "matcaps train fashion-mnist",
        "validation_error": 0.0651,
        "validation_images": 10_000,
        "calibration": {**calibration, "absent": 0.01, "present": 0.93},
        "negatives": 0.125,
        "nothing": {"even": {"mean": 0.001, "highest": 0.0042, "auroc": 0.9996}},
    }
    card = card_of(record)
    for words in (
        "# shapes/3\n",
        "| classes | circle, square, triangle |",
        "| images | 24×24 pixels, grey |",
        "Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017). Its terms: MIT.",
        "**Protocol:** 10000 images held out, drawn by seed 0.",
        "`matcaps train fashion-mnist`",
        "The error on 10000 held-out images is 6.51%, by the protocol above.",
        "| expected calibration error | 0.0123 (by chance: 0.0040) |",
        "12.5% of the training pictures showed nothing.",
        "| even | 0.004 | 1.000 |",
        "- A picture of something else still has a most active class.",
        'CapsNet.from_pretrained("shapes/3")',
        "/predict?model=shapes&version=3",
        "at most 3.2e-06",
    ):
        assert words in card


@pytest.mark.parametrize("record", [{}, {"data_set": "folder pets", "validation_error": None, "commit": None}])
def test_a_card_says_what_is_not_known(record: dict[str, Any]) -> None:
    """Without held-out images there is no error and no calibration; no line has None in it."""
    card = card_of(record, channels=2)
    assert "No error is known: nothing was held out." in card
    assert "The activations are not calibrated" in card
    assert "- A picture of something else, or of nothing, still has a most active class." in card
    assert "None" not in card
    assert ("The terms of these pictures are those of their owner." in card) == bool(record)
    assert "grey pairs, left and right" in card
