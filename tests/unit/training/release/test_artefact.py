"""A released file can be evaluated, of either format."""

from pathlib import Path

import torch

from matcaps.training.release.artefact import Artefact

FORMAT_1 = Path(__file__).parents[3] / "data" / "format-1.onnx"


def test_an_artefact_of_format_1_is_read() -> None:
    """It predicts, and its classes, size and training record are those of its metadata."""
    artefact = Artefact(FORMAT_1)
    assert (artefact.classes, artefact.shape) == (("circle", "square"), (1, 18, 18))
    assert artefact.training["data_set"] == "shapes"
    activations = artefact.activations(torch.zeros(20, 1, 18, 18, dtype=torch.uint8))
    assert activations.shape == (20, 2)
    assert ((activations >= 0) & (activations <= 1)).all()
