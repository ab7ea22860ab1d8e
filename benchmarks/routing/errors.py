"""The error of each implementation against plain PyTorch in float64 with the same competition, with two images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import devices
from benchmarks.routing.implementations import (
    IMPLEMENTATIONS,
    Competition,
    Preset,
    build,
    examples,
    network_of,
    prediction,
    training_step,
)
from benchmarks.routing.times import Graphs
from matcaps.model import CapsNet
from matcaps.model.routing.eager import em_routing
from matcaps.training.release.runtime import Graph

BATCH = 2


@dataclass(frozen=True)
class Error:
    """Largest differences from the reference, relative to the largest element."""

    preset: Preset
    device: str
    implementation: str
    logits: float
    """Of the classes, in evaluation mode; those of onnxruntime are computed from its activations."""
    gradients: float | None
    """Of a training step: the largest of all parameters, each relative to its largest element. None in onnxruntime."""


def measure_errors(presets: tuple[Preset, ...], graphs: Graphs) -> Iterator[Error]:
    """Compare every implementation on each device."""
    for preset in tqdm(presets, desc="errors", unit="preset"):
        images, labels = examples(preset, BATCH)
        references: dict[Competition, tuple[CapsNet, Tensor]] = {}
        for competition in get_args(Competition):
            reference = network_of(preset, em_routing, competition).double()
            references[competition] = reference, prediction(reference, images)
            training_step(reference, images, labels)
        for device in devices():
            for name, implementation in IMPLEMENTATIONS.items():
                reference, expected = references[implementation.competition]
                if not implementation.exported:
                    network = build(preset, name, device)
                    found = prediction(network, images.to(device))
                    training_step(network, images.to(device), labels.to(device))
                    gradients = max(
                        _relative(parameter.grad, of_reference.grad)
                        for parameter, of_reference in zip(network.parameters(), reference.parameters(), strict=True)
                    )
                    yield Error(preset, device, name, _relative(found, expected), gradients)
                elif device == "cpu":
                    activations = torch.from_numpy(Graph(graphs[preset, name]).run(images.numpy())["activations"])
                    yield Error(preset, device, name, _relative(activations.double().logit(), expected), None)


def _relative(found: Tensor | None, expected: Tensor | None) -> float:
    assert found is not None
    assert expected is not None
    return float((found.detach().cpu().double() - expected).abs().max() / expected.abs().max())
