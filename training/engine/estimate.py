"""How long an epoch of a run takes and how much memory it needs: measured by a few steps that are thrown away."""

import math
import resource
import sys
import time
from typing import NamedTuple

import torch

from matcaps.training.baselines import parameters
from matcaps.training.config import TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.loader import BatchLoader
from matcaps.training.engine.predict import BATCH, GPU_BATCH, predict
from matcaps.training.engine.state import State
from matcaps.training.engine.step import EAGER_STEPS, Step

STEPS = 2  # that are measured
FEW_STEPS = 150  # in a run; fewer have not been seen to suffice


class Estimate(NamedTuple):
    """What a run needs.

    Attributes:
        epoch_s: Seconds for an epoch with its held-out images.
        memory: Most bytes that the process has used, or on a GPU has reserved there.
        parameters: Of the network.
    """

    epoch_s: float
    memory: int
    parameters: int


def estimate(config: TrainConfig, loader: BatchLoader, held_out: ImageSet, device: torch.device) -> Estimate:
    """Measure a few steps, and the prediction of a batch of held-out images, with a network that is thrown away.

    It must come before the state of the run, which seeds all random draws anew.
    """
    state = State(config, loader.steps, device)
    on_gpu = device.type == "cuda"
    step = Step(state.network, state.optimizer, state.schedule, state.average, config, capture=on_gpu)
    state.network.train()
    unmeasured = EAGER_STEPS + 1 if on_gpu else 1  # they compile kernels, allocate memory, and capture the graph
    unmeasured = min(unmeasured, loader.steps - 1)
    taken = min(unmeasured + STEPS, loader.steps)
    began = 0.0
    for number in range(taken):
        if number == unmeasured:
            began = time.monotonic()
        step(loader(number)).tolist()  # waits for the GPU
    seconds = (time.monotonic() - began) / (taken - unmeasured) * loader.steps_per_epoch
    if len(held_out):
        images = held_out.images[: GPU_BATCH if on_gpu else BATCH]
        began = time.monotonic()
        predict(state.network, images)
        seconds += (time.monotonic() - began) / len(images) * len(held_out)
    return Estimate(seconds, _memory(device), parameters(state.network))


def describe_estimate(found: Estimate, config: TrainConfig, loader: BatchLoader) -> str:
    """The network, its time and its memory, in two lines; a third one warns of a run that is too short."""
    network, epochs = config.network, config.optimisation.epochs
    sees = f"of which it sees the centre {network.crop_size}×{network.crop_size}"
    if network.input_size < network.crop_size:
        sees += f", shrunk to {network.input_size}×{network.input_size}"
    lines = [
        f"network: {found.parameters:,} parameters; images of {network.image_size}×{network.image_size}, {sees}",
        f"about {duration(found.epoch_s)} per epoch, {duration(epochs * found.epoch_s)} for {epochs} epochs, and "
        f"{found.memory / 1e9:.1f} GB of memory: measured by steps of a network that is thrown away",
    ]
    if loader.steps < FEW_STEPS:
        needed = math.ceil(FEW_STEPS / loader.steps_per_epoch)
        lines.append(
            f"warning: {loader.steps} steps in all, and fewer than {FEW_STEPS} rarely suffice; --epochs {needed} takes "
            "as many, and a smaller --batch-size makes more steps of an epoch"
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A time for people.

    >>> [duration(seconds) for seconds in (0.04, 59, 119, 5000, 20_000)]
    ['0.1 s', '59 s', '119 s', '83 min', '5.6 h']
    """
    if seconds < 10.0:
        return f"{max(0.1, seconds):.1f} s"
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts in bytes, Linux in KiB
