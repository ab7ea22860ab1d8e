"""One step of training: forward, loss, backward, clip, step. A GPU records it once and then replays it.

A step of a small network is some four hundred launches, and to launch them takes longer than to run them. As a CUDA
graph they are launched at once, on memory that stays where it is: the step's inputs are copied into their places first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from matcaps.training.config import TrainConfig
from matcaps.training.engine.ema import ModelEma
from matcaps.training.engine.loss import loss_of

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
    """Takes steps of one network.

    A step whose loss or gradient is not finite changes no weight. Batch statistics have taken it in by then, and on a
    GPU the average of them too: the run has to end with it.

    Args:
        model: The network, or what several processes wrap around it.
        optimizer: As ``adam`` makes it.
        schedule: Of the optimizer's rate, a step on with each step that is taken.
        average: Of the network's weights, if it is kept.
        config: What is trained.
        record: Whether a GPU may record the step; processes that speak to each other within it may not.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: AdamW,
        schedule: LRScheduler,
        average: ModelEma | None,
        config: TrainConfig,
        *,
        record: bool,
    ) -> None:
        self._model, self._optimizer, self._schedule = model, optimizer, schedule
        self._average, self._config = average, config
        self._device = next(model.parameters()).device
        self._on_gpu = self._device.type == "cuda"
        self._mixed = config.precision == "mixed" and _multiplies_bfloat16(self._device)
        self._records = record and self._on_gpu
        self._taken = 0
        # Once there is a graph, these two are its memory, which nobody but __call__ writes to; and weights, batch
        # statistics, moments, rate and average must stay in their places, for it knows them by address.
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: Batch | None = None
        self._told: Tensor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Take a step; the answer is its ``Outcome`` as float32 [3], which nobody need wait for."""
        if self._records and self._taken == EAGER_STEPS:
            self._record(batch)
        self._taken += 1
        if self._graph is None:
            told = self._take(batch)
        else:
            assert self._given is not None
            assert self._told is not None
            for place, given in zip(self._given, batch, strict=True):
                place.copy_(given)
            self._graph.replay()
            told = self._told.clone()
        if self._on_gpu or told.isfinite().all():
            self._schedule.step()
        return told

    def _record(self, batch: Batch) -> None:
        self._given = Batch(*(given.clone() for given in batch))
        self._optimizer.zero_grad()  # gradients are to lie in the graph's own memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._told = self._take(self._given)

    def _take(self, batch: Batch) -> Tensor:
        # forward
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
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
        if self._on_gpu:
            # The host does not wait to see; the optimizer's kernel looks, as it does for a gradient scaler.
            self._optimizer.found_inf = (~told.isfinite().all()).float()  # type: ignore[attr-defined]
        elif not told.isfinite().all():
            return told
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        return told


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether convolutions are faster in bfloat16: a CPU without instructions for it imitates it, slowly."""
    capabilities_of = getattr(torch.cpu, "get_capabilities", dict)  # which some releases of torch that will do lack
    capabilities: Mapping[str, object] = capabilities_of()
    return device.type == "cuda" or bool(capabilities.get("avx512_bf16"))


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
    for parameter, state in optimizer.state.items():
        for name, values in state.items():
            if values.shape == parameter.shape:  # fused steps take it for laid out in memory as its parameter is
                state[name] = torch.empty_like(parameter, dtype=values.dtype).copy_(values)
    for group, own, rate in zip(optimizer.param_groups, kept, rates, strict=True):
        group["lr"] = own["lr"].fill_(rate) if isinstance(own["lr"], Tensor) else rate
