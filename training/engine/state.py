"""All that a run changes from step to step, as one unit: made, saved, and taken up again."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.optim.lr_scheduler import OneCycleLR

from matcaps.training.config import TrainConfig, plain
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import ARCHITECTURES, Network
from matcaps.training.engine.ema import ModelEma
from matcaps.training.engine.step import adam, restore_optimizer


class Progress(NamedTuple):
    """How far a run has come, and the sums over the epoch that is under way."""

    step: int = 0
    loss: float = 0.0
    correct: float = 0.0
    seconds: float = 0.0


class State:
    """A network with its optimizer, schedule and average.

    Args:
        config: Of the run.
        steps: Length of the run.
        device: Where the network lives.

    Raises:
        ValueError: The run is too short for its schedule.
    """

    def __init__(self, config: TrainConfig, steps: int, device: torch.device) -> None:
        if config.warmup_share * steps <= 1.0:
            raise ValueError(
                f"a run of {steps} steps is too short for its rate to rise over {config.warmup_share:g} of them; "
                f"it takes more --epochs, or a smaller --batch-size"
            )
        torch.manual_seed(config.seed)
        self.network: Network = ARCHITECTURES[config.architecture](config.network).to(device)
        self.optimizer = adam(self.network, config)
        self.schedule = OneCycleLR(
            self.optimizer, config.learning_rate, steps, pct_start=config.warmup_share, cycle_momentum=False
        )
        self.average = ModelEma(self.network, config.average_share * steps) if config.average_share else None
        self.progress = Progress()
        self._config = config

    @property
    def outcome(self) -> Network:
        """What is judged and released: the average, or the network itself."""
        return self.average.network if self.average else self.network

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same run, on this device or another."""
        self.outcome.load_state_dict(saved["weights"])
        self.network.load_state_dict(saved.get("trained_weights", saved["weights"]))
        restore_optimizer(self.optimizer, saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        # Runs of before hold more than it has fields.
        self.progress = Progress(**{name: saved["progress"][name] for name in Progress._fields})

    def save(self, path: Path, commit: str, images: str) -> None:
        """Write a checkpoint.

        Args:
            path: Where.
            commit: Of the code that runs.
            images: Fingerprint of what the run trains on and holds out.
        """
        checkpoint.save(
            path,
            self.outcome,
            trained_weights=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            progress=self.progress._asdict(),
            config=plain(self._config),
            commit=commit,
            images=images,
        )
