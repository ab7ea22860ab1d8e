"""An average of the weights over the latest steps, which errs less than where the steps happen to end."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.checkpoint import Network


class Average:
    """The exponential average of a network's weights and batch statistics.

    Args:
        network: The network that is trained; it starts as its own average.
        horizon: The number of steps after which a step's weight has fallen to 1 / e.
    """

    def __init__(self, network: Network, horizon: float) -> None:
        decay = 1.0 - 1.0 / max(1.0, horizon)
        average = get_ema_multi_avg_fn(decay)

        @torch.no_grad()
        def update(averaged: Sequence[Tensor], latest: Sequence[Tensor], steps: Tensor | int) -> None:
            if averaged[0].is_floating_point():
                average(list(averaged), list(latest), steps)
                return
            for own, of_network in zip(averaged, latest, strict=True):  # indices and counts have no mean
                own.copy_(of_network)

        self._model = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
        self._model.n_averaged.fill_(1)  # or the first step would take the place of what it starts from

    @property
    def network(self) -> Network:
        """The network with the averaged weights."""
        return self._model.module  # type: ignore[return-value]

    def update(self, network: Network) -> None:
        """Take in the weights after a step."""
        self._model.update_parameters(network)
