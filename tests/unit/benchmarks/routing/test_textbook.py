"""The textbook's form of routing computes what the model's routing computes."""

import pytest
import torch

from benchmarks.routing.textbook import textbook_routing
from matcaps.model import RoutingConfig
from matcaps.model.routing.eager import em_routing
from matcaps.model.windows import Windows


@pytest.mark.parametrize("mass", ["absolute", "relative"])
@pytest.mark.parametrize("located", [False, True])
def test_textbook_and_eager_routing_agree(mass: str, located: bool) -> None:
    """Logits, poses and assignments are equal to 1e-10 in float64, with and without coordinates."""
    torch.manual_seed(0)
    poses, activations = torch.randn(2, 25, 3, 4, 4).double(), torch.rand(2, 25, 3).double()
    weights, beta = torch.randn(9, 3, 4, 4, 4).double(), torch.randn(2, 4).double()
    windows = Windows((5, 5), (3, 3), 2, torch.rand(9, 2) if located else None)
    config = RoutingConfig(mass=mass)  # type: ignore[arg-type]
    arguments = (poses, activations, weights, beta[0], beta[1], windows, config)
    expected, found = textbook_routing(*arguments), em_routing(*arguments)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
