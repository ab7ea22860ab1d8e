"""The average of the weights is exponential, and is a working network."""

import copy

import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.baselines import ConvNet
from matcaps.training.engine.ema import ModelEma


def test_average_is_exponential(network: CapsNet) -> None:
    """Weights and batch statistics are weighted sums of all values, the first included; counts are the latest."""
    network = copy.deepcopy(network)  # the fixture is shared
    start = copy.deepcopy(network.state_dict())
    average = ModelEma(network, horizon=4.0)
    expected = {name: values.double() for name, values in start.items()}
    for step in (1.0, -2.0, 3.0):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(step)
            for name, buffer in network.named_buffers():
                if name.endswith("running_mean"):
                    buffer.add_(step)
                elif name.endswith("num_batches_tracked"):
                    buffer.add_(1)
        average.update()
        expected = {
            name: 0.75 * mean + 0.25 * network.state_dict()[name].double()
            if start[name].is_floating_point()
            else network.state_dict()[name].double()
            for name, mean in expected.items()
        }
    found = average.network.state_dict()
    assert found.keys() == expected.keys() > {"stem_norm.running_mean", "stem_norm.num_batches_tracked"}
    for name, values in expected.items():
        torch.testing.assert_close(found[name].double(), values, rtol=1e-5, atol=1e-5)


def test_a_network_without_counts_is_averaged_too() -> None:
    """The paper's CNN has weights only."""
    network = ConvNet(tiny())
    average = ModelEma(network, horizon=2.0)
    start = network.last.bias.detach().clone()
    with torch.no_grad():
        network.last.bias.add_(1.0)
    average.update()
    found = average.network.get_parameter("last.bias")
    torch.testing.assert_close(found, start + 0.5)
    assert not found.requires_grad


def test_indices_are_not_averaged(network: CapsNet) -> None:
    """The average of an unchanged network gives the same outputs, so its window indices are intact."""
    network.eval()
    average = ModelEma(network, horizon=3.0)
    for _ in range(5):
        average.update()
    images = torch.randint(0, 256, (2, 1, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(average.network.eval()(images).poses, network(images).poses)
