"""An exponential average of the weights over the latest steps, which fluctuates less than the weights do."""

import copy

import torch
from torch import Tensor

from matcaps.training.engine.checkpoint import Network


class ModelEma:
    """The exponential average of a network's weights and batch statistics.

    torch's ``AveragedModel`` reads a counter from the device at each update, which a CUDA graph cannot capture.

    Args:
        network: The network that is trained; its weights are the first average.
        horizon: The number of steps after which a step's weight has fallen to 1 / e.

    Attributes:
        network: The network with the averaged weights.
    """

    def __init__(self, network: Network, horizon: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._share = 1.0 / max(1.0, horizon)
        self._means, self._counts = _split(self.network)
        self._means_of, self._counts_of = _split(network)

    @torch.no_grad()
    def update(self) -> None:
        """Add the network's weights after a step to the average; the host does not wait for a GPU."""
        torch._foreach_lerp_(self._means, self._means_of, self._share)
        for own, latest in zip(self._counts, self._counts_of, strict=True):
            own.copy_(latest)


def _split(network: Network) -> tuple[list[Tensor], list[Tensor]]:
    """Split a network's tensors: weights and batch statistics are averaged, counts and indices are copied."""
    values = [*network.parameters(), *network.buffers()]
    means = [tensor for tensor in values if tensor.is_floating_point()]
    return means, [tensor for tensor in values if not tensor.is_floating_point()]
