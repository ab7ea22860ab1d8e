"""Everything that a run changes from step to step: created, saved and restored as one unit."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.optim.lr_scheduler import OneCycleLR

from matcaps.training.config import TrainConfig, to_json
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import ARCHITECTURES, Network, fitting, kind
from matcaps.training.engine.ema import ModelEma
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
        self._config = config

    @property
    def result(self) -> Network:
        """The network that is evaluated and released: the average, or the trained network itself."""
        return self.average.network if self.average else self.network

    def start_from(self, network: Network) -> None:
        """Begin with the weights of a trained network and with its calibration; only before the first step.

        Raises:
            ValueError: It is another network; the message names what differs.
        """
        ours, theirs = asdict(self.network.config), asdict(network.config)
        if type(network) is not type(self.network):
            raise ValueError(f"expected weights of {kind(self.network)}, got those of {kind(network)}")
        if differing := [name for name in ours if ours[name] != theirs[name]]:
            values = ", ".join(f"{name} is {ours[name]}, theirs {theirs[name]}" for name in differing)
            raise ValueError(f"the weights belong to another network: {values}")
        for own in {self.network, self.result}:
            own.load_state_dict(network.state_dict())

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
            config=to_json(self._config),
            commit=commit,
            images=images,
        )
