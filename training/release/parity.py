"""Compares an exported graph with the network in torch, on real images."""

from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from matcaps.model import CapsNet
from matcaps.model.export import OUTPUTS, outputs
from matcaps.training.release.runtime import VERSION, Graph

BOUND = 1e-4
BATCHES = (1, 2, 8)


class ParityError(ValueError):
    """A graph differs from its network, or its outputs are not finite."""


def measure_parity(network: CapsNet, proto: onnx.ModelProto, images: Tensor) -> dict[str, Any]:
    """The largest differences between a graph and the network that it was exported from.

    Args:
        network: In evaluation mode, on the CPU.
        proto: Its export.
        images: Real images, uint8 [n ≥ 8, channels, height, width].

    Raises:
        ParityError: A difference exceeds 1e-4, for poses 1e-4 of their largest element where that is above 1. Or an
            output is not finite, for these images or for images of one grey level. Or there are fewer than 8 images.
    """
    if len(images) < max(BATCHES):
        raise ParityError(f"at least {max(BATCHES)} images are needed to compare batches, got {len(images)}")
    graph = Graph(proto)
    worst = {"activations": 0.0, "poses": 0.0}
    for size in BATCHES:
        for batch in images.split(size):
            if len(batch) < size:
                continue
            with torch.no_grad():
                expected = dict(zip(OUTPUTS, outputs(network(batch, assignments=True)), strict=True))
            found = graph.run(batch.numpy())
            _require_finite(found, "real images")
            for name, values in expected.items():
                difference = float(np.abs(found[name] - values.numpy()).max())
                bound = BOUND * max(1.0, float(values.abs().max())) if name.endswith("poses") else BOUND
                if difference > bound:
                    raise ParityError(
                        f"{name} differs from torch by {difference:.2e} at batch {size}, expected at most {bound:.0e}"
                    )
                if name in worst:
                    worst[name] = max(worst[name], difference)
    for level in (0, 1, 127, 128, 254, 255):
        _require_finite(graph.run(np.full_like(images[:1].numpy(), level)), f"an image of grey level {level}")
    return {**worst, "batches": list(BATCHES), "torch": torch.__version__, "onnxruntime": VERSION}


def _require_finite(found: dict[str, Any], what: str) -> None:
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ParityError(f"{name} is not finite for {what}")
