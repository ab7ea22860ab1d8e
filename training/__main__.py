"""The command line: ``python -m training {download,train,evaluate,release}``."""

import contextlib
import functools
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from training import checkpoint, report
from training.config import RECIPES, TrainConfig, restore
from training.data import ImageSet, load
from training.data.download import download
from training.evaluate import evaluate
from training.loop import NonFiniteError, split, train
from training.release import release, training_record

if TYPE_CHECKING:
    Recipe = TrainConfig
else:
    Recipe = Annotated[
        tyro.extras.subcommand_type_from_defaults(
            {name: config for name, (_, config) in RECIPES.items()},
            {name: description for name, (description, _) in RECIPES.items()},
        ),
        tyro.conf.arg(name=""),
    ]
PARITY_IMAGES = 64


def download_command(
    name: Annotated[Literal["smallnorb", "mnist", "fashion-mnist"], tyro.conf.Positional],
    to: Path = Path("data"),
) -> None:
    """Fetch a public data set and check it.

    Args:
        name: which data set
        to: folder that holds the data sets, a folder each
    """
    print(f"{name} is in {download(name, to)}")


def train_command(config: Recipe) -> None:
    """Train a network; checkpoints and logs go into the run's folder."""
    best = train(config)
    print(f"the best checkpoint is {best}; next: python -m training evaluate --run-folder {best.parent}")


def evaluate_command(
    run_folder: Path,
    root: Path | None = None,
    split: Literal["held-out", "test"] = "held-out",
    checkpoint: Literal["best", "last"] = "best",
) -> None:
    """Error of a trained network with its confidence interval, by class and instance, and its confusions.

    Args:
        run_folder: folder of the run
        root: folder that holds the data sets; the one that the run was trained from if absent
        split: the images held out from training, or the official test split, which is for final figures alone
        checkpoint: which of the run's checkpoints
    """
    network, config, _ = _open(run_folder, root, checkpoint)
    images = _held_out(config) if split == "held-out" else _test(config)
    evaluation = evaluate(network, images, progress=True)
    print(report.table(evaluation, images.classes))
    for path in report.write(evaluation, images.classes, run_folder):
        print(f"wrote {path}")


def release_command(
    run_folder: Path,
    name: str,
    root: Path | None = None,
    models: Path = Path("models"),
    version: int | None = None,
    checkpoint: Literal["best", "last"] = "best",
) -> None:
    """Export a trained network for the service, after holding it against torch on real images.

    Args:
        run_folder: folder of the run
        name: name of the model
        root: folder that holds the data sets; the one that the run was trained from if absent
        models: folder of models that the service reads
        version: version of the model; the one after the highest if absent
        checkpoint: which of the run's checkpoints
    """
    network, config, saved = _open(run_folder, root, checkpoint)
    held_out = _held_out(config)
    evaluation = evaluate(network, held_out, progress=True)
    record = training_record(config, saved, evaluation)
    step = max(1, len(held_out) // PARITY_IMAGES)
    path = release(network, record, held_out.images[::step][:PARITY_IMAGES], models, name, version)
    print(f"wrote {path}: held-out error {evaluation.error:.2%}, {path.stat().st_size / 1e6:.2f} MB")


COMMANDS: dict[str, Callable[..., None]] = {
    "download": download_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "release": release_command,
}


def main(arguments: list[str]) -> int:
    """Run one command; the exit status: 0, 1 where it failed, 2 for bad options (each with one line)."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            call = tyro.extras.subcommand_cli_from_dict(
                {name: _later(command) for name, command in COMMANDS.items()},
                prog="python -m training",
                description="Train matrix capsules, judge them and release them.",
                args=arguments,
            )
    except SystemExit as exit_:
        if exit_.code:
            return _complain(_one_line(complaint.getvalue()) + "; see --help", 2)
        return 0
    except ValueError as error:
        return _complain(str(error), 2)
    try:
        call()
    except (ValueError, OSError, NonFiniteError) as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("stopped; train … --resume goes on from the last checkpoint", 130)
    return 0


def _open(run_folder: Path, root: Path | None, which: str) -> tuple[Any, TrainConfig, dict[str, Any]]:
    saved = checkpoint.load(run_folder / f"{which}.pt")
    config = restore(saved["config"])
    return checkpoint.rebuild(saved), config if root is None else replace(config, root=root), saved


def _held_out(config: TrainConfig) -> ImageSet:
    return split(config)[1]


def _test(config: TrainConfig) -> ImageSet:
    network = config.network
    return load(config.data, config.root, "test", stereo=network.channels == 2, size=network.image_size)


def _later(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The command with its options bound: parsing ends before the work begins, so that errors tell apart."""

    @functools.wraps(command)
    def bind(*values: Any, **options: Any) -> Callable[[], None]:
        return lambda: command(*values, **options)

    return bind


def _one_line(text: str) -> str:
    """What tyro draws as a box, without its frame."""
    words = re.sub(r"\s+", " ", re.sub(r"[╭╮╰╯│─]", " ", text)).strip()
    return words.partition(" For full helptext")[0]


def _complain(text: str, status: int) -> int:
    print(f"python -m training: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
