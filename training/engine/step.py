"""One training step: forward, loss, backward, clip, step; on a GPU captured once as a CUDA graph and then replayed.

A step of a small network launches about four hundred kernels, and launching takes longer than running them. A CUDA
graph launches all of them at once. It works on fixed memory, so the inputs of a step are copied there first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from matcaps.training.config import OptimisationConfig, TrainConfig
from matcaps.training.data.loader import Batch
from matcaps.training.engine.ema import ModelEma
from matcaps.training.engine.loss import loss_of

EAGER_STEPS = 3  # before the capture, so that kernels are compiled and memory is allocated


class Outcome(NamedTuple):
    """The metrics of a step."""

    loss: float
    gradient_norm: float
    correct: float
    """number of images classified correctly"""


class Step:
    """Takes the training steps of one network.

    A step with a non-finite loss or gradient changes no weight. It does change the batch statistics, and on a GPU their
    average, so the run must stop after it.

    Args:
        model: The network, or its wrapper for several processes.
        optimizer: Made by ``adam``.
        schedule: Of the learning rate; advances with each step.
        average: Of the network's weights, if there is one.
        config: Configuration of the run.
        capture: Whether a GPU may capture the step as a CUDA graph; not with several processes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: AdamW,
        schedule: LRScheduler,
        average: ModelEma | None,
        config: TrainConfig,
        *,
        capture: bool,
    ) -> None:
        self._model, self._optimizer, self._schedule = model, optimizer, schedule
        self._average, self._config = average, config
        self._device = next(model.parameters()).device
        self._on_gpu = self._device.type == "cuda"
        self._mixed = config.run.precision == "mixed" and _multiplies_bfloat16(self._device)
        self._captures = capture and self._on_gpu
        self._taken = 0
        # The graph's own inputs and output, which only __call__ writes to. The graph uses fixed memory addresses, so
        # weights, batch statistics, moments, rate and average must never be reallocated.
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Batch | None = None
        self._output: Tensor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Take a step; returns its ``Outcome`` as float32 [3] on the device, without waiting for it."""
        if self._captures and self._taken == EAGER_STEPS:
            self._capture(batch)
        self._taken += 1
        if self._graph is None:
            outcome = self._take(batch)
        else:
            assert self._inputs is not None
            assert self._output is not None
            for memory, values in zip(self._inputs, batch, strict=True):
                memory.copy_(values)
            self._graph.replay()
            outcome = self._output.clone()
        if self._on_gpu or outcome.isfinite().all():
            self._schedule.step()
        return outcome

    def _capture(self, batch: Batch) -> None:
        self._inputs = Batch(*(values.clone() for values in batch))
        self._optimizer.zero_grad()  # so that gradients are allocated in the graph's memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = self._take(self._inputs)

    def _take(self, batch: Batch) -> Tensor:
        # forward
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            logits = self._model(batch.images).logits.float()
        # loss
        with_negatives = self._config.augmentation.negatives > 0.0
        own, partners = (
            loss_of(logits, labels, batch.margin, self._config.loss, with_negatives=with_negatives)
            for labels in (batch.labels, batch.partner_labels)
        )
        loss = torch.lerp(partners, own, batch.share)
        # backward
        self._optimizer.zero_grad()
        loss.backward()
        # clip
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), self._config.optimisation.gradient_clip)
        outcome = torch.stack([loss.detach(), norm, (logits.argmax(1) == batch.labels).sum()])
        # step
        if self._on_gpu:
            # The fused optimizer skips the step on the device, as with a gradient scaler; the host does not wait.
            self._optimizer.found_inf = (~outcome.isfinite().all()).float()  # type: ignore[attr-defined]
        elif not outcome.isfinite().all():
            return outcome
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        return outcome


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether convolutions are faster in bfloat16; a CPU without instructions for it emulates it slowly."""
    capabilities_of = getattr(torch.cpu, "get_capabilities", dict)  # missing in some supported releases of torch
    capabilities: Mapping[str, object] = capabilities_of()
    return device.type == "cuda" or bool(capabilities.get("avx512_bf16"))


def adam(network: nn.Module, options: OptimisationConfig) -> AdamW:
    """The optimizer of a run; on a GPU it can be captured, and the schedule changes its rate in place."""
    parameters = list(network.parameters())
    if parameters[0].is_cuda:
        rate = torch.tensor(options.learning_rate, device=parameters[0].device)
        return AdamW(parameters, rate, weight_decay=options.weight_decay, fused=True, capturable=True)
    return AdamW(parameters, options.learning_rate, weight_decay=options.weight_decay)


def restore_optimizer(optimizer: AdamW, saved: dict[str, Any]) -> None:
    """Load a saved ``optimizer.state_dict()``, on this device or another."""
    kept = [{name: group[name] for name in ("lr", "fused", "capturable")} for group in optimizer.param_groups]
    rates = [float(group["lr"]) for group in saved["param_groups"]]
    groups = [{**group, **own} for group, own in zip(saved["param_groups"], kept, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for parameter, state in optimizer.state.items():
        for name, values in state.items():
            if values.shape == parameter.shape:  # a fused step expects its parameter's memory layout
                state[name] = torch.empty_like(parameter, dtype=values.dtype).copy_(values)
    for group, own, rate in zip(optimizer.param_groups, kept, rates, strict=True):
        group["lr"] = own["lr"].fill_(rate) if isinstance(own["lr"], Tensor) else rate
