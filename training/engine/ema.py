"""An average of the weights over the latest steps, which errs less than where the steps happen to end."""

import copy

import torch
from torch import Tensor

from matcaps.training.engine.checkpoint import Network


class ModelEma:
    """The exponential average of a network's weights and batch statistics.

    torch's own ``AveragedModel`` asks the device at each update whether it is the first, which cannot be recorded.

    Args:
        network: The network that is trained; it starts as its own average.
        horizon: The number of steps after which a step's weight has fallen to 1 / e.

    Attributes:
        network: The network with the averaged weights.
    """

    def __init__(self, network: Network, horizon: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._share = 1.0 / max(1.0, horizon)
        self._means, self._counts = _parted(self.network)
        self._means_of, self._counts_of = _parted(network)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights after a step; nothing waits for a GPU."""
        torch._foreach_lerp_(self._means, self._means_of, self._share)
        for own, latest in zip(self._counts, self._counts_of, strict=True):
            own.copy_(latest)


def _parted(network: Network) -> tuple[list[Tensor], list[Tensor]]:
    """What of a network has a mean, weights and batch statistics, and what has none: counts and indices."""
    values = [*network.parameters(), *network.buffers()]
    means = [tensor for tensor in values if tensor.is_floating_point()]
    return means, [tensor for tensor in values if not tensor.is_floating_point()]
