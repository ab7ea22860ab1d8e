"""Everything that a run changes from step to step: created, saved and restored as one unit."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from matcaps.training.config import TrainConfig, to_json
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import ARCHITECTURES, Network, fitting
from matcaps.training.engine.ema import ModelEma
from matcaps.training.engine.start import Start, take_over
from matcaps.training.engine.step import adam, restore_optimizer


class Progress(NamedTuple):
    """Steps taken, and the sums over the current epoch."""

    step: int = 0
    loss: float = 0.0
    correct: float = 0.0
    seconds: float = 0.0


class State:
    """A network with its optimizer, learning rate schedule and average of the weights.

    Args:
        config: Configuration of the run.
        steps: Length of the run.
        device: Device of the network.

    Raises:
        ValueError: The run is too short for its schedule.
    """

    def __init__(self, config: TrainConfig, steps: int, device: torch.device) -> None:
        options = config.optimisation
        if options.warmup_share * steps <= 1.0:
            raise ValueError(
                f"a run of {steps} steps is too short for its rate to rise over {options.warmup_share:g} of them; "
                "use more --epochs or a smaller --batch-size"
            )
        torch.manual_seed(config.seed)
        self.network: Network = ARCHITECTURES[config.architecture](config.network).to(device)
        self.optimizer = adam(self.network, options)
        self.schedule = OneCycleLR(
            self.optimizer, options.learning_rate, steps, pct_start=options.warmup_share, cycle_momentum=False
        )
        self.average = ModelEma(self.network, options.average_share * steps) if options.average_share else None
        self.progress = Progress()
        self.start: dict[str, str] | None = None  # name and digest of the trained network that it began with
        self._config = config

    @property
    def result(self) -> Network:
        """The network that is evaluated and released: the average, or the trained network itself."""
        return self.average.network if self.average else self.network

    def start_from(self, start: Start) -> dict[str, Tensor]:
        """Begin with the weights of a trained network; only before the first step. Returns those that are taken over.

        Raises:
            ValueError: It is another network; the message names what differs.
        """
        taken = take_over(self.network, start)
        for own in {self.network, self.result}:
            own.load_state_dict({**own.state_dict(), **taken})
        self.start = {"name": start.name, "digest": start.digest}
        return taken

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a checkpoint of the same run, on this device or another.

        Raises:
            ValueError: A part is missing or does not fit; the message names it.
        """
        with fitting("weights"):
            self.result.load_state_dict(saved["weights"])
        with fitting("trained_weights"):
            self.network.load_state_dict(saved["trained_weights"])
        with fitting("optimizer"):
            restore_optimizer(self.optimizer, saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.progress = Progress(**saved["progress"])
        self.start = saved.get("start")  # older checkpoints have none

    def save(self, path: Path, commit: str, images: str) -> None:
        """Write a checkpoint.

        Args:
            path: Of the file.
            commit: Commit of the code that runs.
            images: Fingerprint of the training images and held-out images.
        """
        checkpoint.save(
            path,
            self.result,
            trained_weights=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            progress=self.progress._asdict(),
            start=self.start,
            config=to_json(self._config),
            commit=commit,
            images=images,
        )
