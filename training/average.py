"""An average of the weights over the latest steps, which errs less than where the steps happen to end."""

import copy

import torch

from training.checkpoint import Network


class Average:
    """The exponential average of a network's weights and batch statistics.

    Args:
        network: The network that is trained; it starts as its own average.
        horizon: The number of steps after which a step's weight has fallen to 1 / e.

    Attributes:
        network: The network with the averaged weights.
    """

    def __init__(self, network: Network, horizon: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._share = 1.0 / max(1.0, horizon)
        own = [*self.network.parameters(), *self.network.buffers()]
        latest = [*network.parameters(), *network.buffers()]
        means = [values.is_floating_point() for values in own]
        self._means, self._means_of = ([v for v, m in zip(of, means, strict=True) if m] for of in (own, latest))
        self._counts, self._counts_of = ([v for v, m in zip(of, means, strict=True) if not m] for of in (own, latest))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights after a step; nothing waits for a GPU."""
        torch._foreach_lerp_(self._means, self._means_of, self._share)
        for own, latest in zip(self._counts, self._counts_of, strict=True):  # indices and counts have no mean
            own.copy_(latest)
