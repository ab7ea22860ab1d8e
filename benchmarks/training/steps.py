"""Training steps of a recipe on random images, to be timed or compared."""

import torch

from matcaps.training.config import TrainConfig
from matcaps.training.data.loader import Batch
from matcaps.training.engine.state import State
from matcaps.training.engine.step import Step


def made(config: TrainConfig, device: torch.device, *, record: bool, steps: int) -> tuple[State, Step]:
    """A network at its start, on a schedule of so many steps, and what takes them."""
    state = State(config, steps, device)
    return state, Step(state.network, state.optimizer, state.schedule, state.average, config, capture=record)


def batch_of(config: TrainConfig, batch: int, seed: int, device: torch.device) -> Batch:
    """Random pixels, and labels of two images for each, with a random share."""
    draws = torch.Generator().manual_seed(seed)
    size, classes = config.network.crop_size, len(config.network.classes)
    images = 255.0 * torch.rand(batch, config.network.channels, size, size, generator=draws)
    labels, partners = (torch.randint(classes, (batch,), generator=draws) for _ in range(2))
    share, margin = torch.rand(2, generator=draws)
    return Batch(*(tensor.to(device) for tensor in (images, labels, partners, share, 0.2 + 0.7 * margin)))
