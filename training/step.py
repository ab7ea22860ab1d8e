"""One step of training: forward, loss, backward, clip, step. A GPU records it once and then replays it.

A step of a small network is some thousand launches, and to launch them takes longer than to run them. As a CUDA graph
they are launched at once, on memory that stays where it is: the step's inputs are copied into their places first.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from training.average import Average
from training.config import TrainConfig
from training.loss import loss_of

EAGER_STEPS = 3  # before the recording, so that kernels are compiled and memory is at hand


class Batch(NamedTuple):
    """What a step learns from, on the network's device."""

    images: Tensor
    """[batch, channel, row, column] of pixels in 0–255"""
    labels: Tensor
    """int64 [batch]"""
    partner_labels: Tensor
    """int64 [batch]: of the images that these are mixed with"""
    share: Tensor
    """float32 []: weight of an image's own label"""
    margin: Tensor
    """float32 []: of the spread loss"""


class Outcome(NamedTuple):
    """What a step was like."""

    loss: float
    gradient_norm: float
    correct: float
    """how many images had the right class"""


class Step:
    """Takes steps of one network. A step whose loss or gradient is not finite changes no weight.

    Args:
        model: The network, or what several processes wrap around it.
        optimizer: As ``adam`` makes it.
        average: Of the network's weights, if it is kept.
        config: What is trained.
        record: Whether a GPU may record the step; processes that speak to each other within it may not.
    """

    def __init__(
        self, model: nn.Module, optimizer: AdamW, average: Average | None, config: TrainConfig, *, record: bool
    ) -> None:
        self._model, self._optimizer, self._average, self._config = model, optimizer, average, config
        self._device = next(model.parameters()).device
        self._eager_steps = EAGER_STEPS if record and self._device.type == "cuda" else -1
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Take a step; the answer is its ``Outcome`` as float32 [3], which nobody need wait for."""
        if not self._eager_steps:
            self._record(batch)
        self._eager_steps -= 1
        if self._graph is None:
            return self._take(batch)
        for place, given in zip(self._batch, batch, strict=True):
            place.copy_(given)
        self._graph.replay()
        return self._told.clone()

    def _record(self, batch: Batch) -> None:
        self._batch = Batch(*(given.clone() for given in batch))
        self._optimizer.zero_grad()  # gradients are to lie in the graph's own memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._told = self._take(self._batch)

    def _take(self, batch: Batch) -> Tensor:
        # forward
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            logits = self._model(batch.images).logits.float()
        # loss
        own, partners = (
            loss_of(logits, labels, batch.margin, self._config) for labels in (batch.labels, batch.partner_labels)
        )
        loss = torch.lerp(partners, own, batch.share)
        # backward
        self._optimizer.zero_grad()
        loss.backward()
        # clip
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), self._config.gradient_clip)
        told = torch.stack([loss.detach(), norm, (logits.argmax(1) == batch.labels).sum()])
        # step
        if self._device.type == "cuda":
            # The host does not wait to see; the optimizer's kernel looks, as it does for a gradient scaler.
            self._optimizer.found_inf = (~told.isfinite().all()).float()  # type: ignore[attr-defined]
        elif not told.isfinite().all():
            return told
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        return told


def adam(network: nn.Module, config: TrainConfig) -> AdamW:
    """The optimizer of a run; a GPU's can be recorded, with a rate that the schedule changes in its place."""
    parameters = list(network.parameters())
    if parameters[0].is_cuda:
        rate = torch.tensor(config.learning_rate, device=parameters[0].device)
        return AdamW(parameters, rate, weight_decay=config.weight_decay, fused=True, capturable=True)
    return AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)


def restore_optimizer(optimizer: AdamW, saved: dict[str, Any]) -> None:
    """Take over what ``optimizer.state_dict()`` gave, on this device or another."""
    kept = [{name: group[name] for name in ("lr", "fused", "capturable")} for group in optimizer.param_groups]
    rates = [float(group["lr"]) for group in saved["param_groups"]]
    groups = [{**group, **own} for group, own in zip(saved["param_groups"], kept, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for group, own, rate in zip(optimizer.param_groups, kept, rates, strict=True):
        group["lr"] = own["lr"].fill_(rate) if isinstance(own["lr"], Tensor) else rate
