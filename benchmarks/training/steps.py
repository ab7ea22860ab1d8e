"""Training steps of a recipe on random images, for benchmarks and checks."""

import torch

from matcaps.training.config import TrainConfig
from matcaps.training.data.loader import Batch
from matcaps.training.engine.state import State
from matcaps.training.engine.step import Step


def made(config: TrainConfig, device: torch.device, *, capture: bool, steps: int) -> tuple[State, Step]:
    """The state of a new network, on a schedule of so many steps, and the function that takes a step."""
    state = State(config, steps, device)
    return state, Step(state.network, state.optimizer, state.schedule, state.average, config, capture=capture)


def batch_of(config: TrainConfig, batch: int, seed: int, device: torch.device) -> Batch:
    """A batch of random pixels, labels and partners' labels, with a random share and margin."""
    draws = torch.Generator().manual_seed(seed)
    size, classes = config.network.crop_size, len(config.network.classes)
    images = 255.0 * torch.rand(batch, config.network.channels, size, size, generator=draws)
    labels, partners = (torch.randint(classes, (batch,), generator=draws) for _ in range(2))
    share, margin = torch.rand(2, generator=draws)
    return Batch(*(tensor.to(device) for tensor in (images, labels, partners, share, 0.2 + 0.7 * margin)))
