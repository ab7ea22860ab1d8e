"""``matcaps train RECIPE [options]``: train a network by a recipe."""

from typing import TYPE_CHECKING, Annotated

import tyro

from matcaps.training.cli import command
from matcaps.training.config import TrainConfig
from matcaps.training.engine.loop import train
from matcaps.training.recipes import DESCRIPTIONS, RECIPES

if TYPE_CHECKING:
    Recipe = TrainConfig
else:
    Recipe = Annotated[
        tyro.extras.subcommand_type_from_defaults(RECIPES, DESCRIPTIONS),
        tyro.conf.arg(name=""),
    ]


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    resume = "interrupted; --resume continues from the last checkpoint"
    return command.run("train", train_command, arguments, interrupted=resume)


def train_command(config: Recipe) -> None:
    """Train a network by a recipe; checkpoints and logs are written to the run's folder."""
    path = train(config)
    print(f"wrote {path}; next: matcaps evaluate {path.parent}")
