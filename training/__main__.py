"""The command line: ``python -m training {download,train,evaluate,release,judge}``."""

import contextlib
import functools
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
import tyro

from model import CapsNet
from training import checkpoint
from training.artefact import Artefact
from training.checkpoint import Network
from training.config import RECIPES, TrainConfig, restore
from training.data import KNOWN, ImageSet, load
from training.data.download import download
from training.evaluate import evaluate
from training.loop import NonFiniteError, train
from training.protocol import Fold, held_out_folds, unseen
from training.protocol import split as _split
from training.record import Judged, refuse_other_recipes, training_record
from training.release import release
from training.suites.adversarial import adversarial
from training.suites.folds import folds
from training.suites.poses import poses
from training.suites.released import released
from training.suites.report import Report, write
from training.suites.routing import routing
from training.suites.standard import standard
from training.suites.viewpoint import viewpoint

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
    path = train(config)
    print(f"the run's checkpoint is {path}; next: python -m training evaluate --run-folder {path.parent}")


def evaluate_command(
    run_folder: Path,
    suite: Annotated[
        Literal["standard", "folds", "viewpoint", "adversarial", "poses", "routing"], tyro.conf.Positional
    ] = "standard",
    root: Path | None = None,
    split: Literal["held-out", "test"] = "held-out",
    baseline: Path | None = None,
    images: int = 1000,
) -> None:
    """Ask a trained network; a table is printed, JSON and a picture go into the run's folder.

    standard: error with its confidence interval, confusions, one crop and thirteen.
    folds: error over all instances of smallNORB, of a folder that holds a run for each that was held out, of one seed
        or several.
    viewpoint: errors at elevations or lightings that a run trained with --elevations or --lightings never saw.
    adversarial: accuracy under attacks that know the network.
    poses: what the winning pose tells of elevation, lighting and azimuth.
    routing: how assignments sharpen, dead capsules, activations.

    Args:
        run_folder: folder of the run; for folds, the folder that holds the runs' folders
        suite: what is asked
        root: folder that holds the data sets; the one that the run was trained from if absent
        split: the images held out from training, or the official test split, which is for final figures alone
        baseline: folder of a run of --architecture cnn (for folds, of such runs), beside which all suites but standard
            and routing put the capsules; for viewpoint it must have been trained with --keep-epochs
        images: of how many images, evenly drawn from all, adversarial and routing speak
    """
    if suite == "folds":
        if split == "test":
            raise ValueError("folds are judged by what each run held out; the test split is asked of one run at a time")
        _report(_folds([run_folder] if baseline is None else [run_folder, baseline], root), run_folder, suite)
        return
    network, config, _ = _open(run_folder, root)
    judged = _held_out(config) if split == "held-out" else _test(config)
    if not len(judged):
        raise ValueError("the run held nothing out; only --split test has images that it never saw")
    some = judged.subset(torch.arange(0, len(judged), max(1, len(judged) // images))[:images])
    networks = {"capsules" if isinstance(network, CapsNet) else "CNN": network}
    if baseline is not None and suite in ("adversarial", "poses"):
        networks["CNN"] = _open(baseline, root)[0]
    if suite == "standard":
        report = standard(network, judged)
    elif suite == "viewpoint":
        column = "lighting" if config.lightings else "elevation"
        candidates = {} if baseline is None else _epochs(baseline)
        report = viewpoint(network, judged, column, config.lightings or config.elevations, candidates)
    elif suite == "adversarial":
        report = adversarial(networks, some)
    elif suite == "poses":
        report = poses(networks, _split(config)[0], judged)
    elif isinstance(network, CapsNet):
        report = routing(network, some)
    else:
        raise ValueError(f"{run_folder} holds a CNN, in which nothing is routed")
    _report(report, run_folder, suite)
    if baseline is None and suite in ("viewpoint", "adversarial", "poses"):
        print(
            "\nto see a CNN beside it: train the same with --architecture cnn --keep-epochs, then --baseline ITS_FOLDER"
        )


def release_command(
    run_folder: Path,
    name: str,
    root: Path | None = None,
    models: Path = Path("models"),
    version: int | None = None,
    judged_by: tuple[Path, ...] = (),
) -> None:
    """Export a trained network for the service, after holding it against torch on real images.

    Args:
        run_folder: folder of the run
        name: name of the model
        root: folder that holds the data sets; the one that the run was trained from if absent
        models: folder of models that the service reads
        version: version of the model; the one after the highest if absent
        judged_by: where the run held nothing out, folders of runs of the same recipe that did, of one seed or several:
            the artefact's record has their error
    """
    network, config, saved = _open(run_folder, root, ended=True)
    if not isinstance(network, CapsNet):
        raise ValueError(f"{run_folder} holds a CNN, which is there to compare with; only capsules are released")
    training, held_out = _split(config)
    if judged_by and len(held_out):
        raise ValueError(f"{run_folder} held images out: it is judged by them, not by other runs")
    judges: list[tuple[Network, TrainConfig]] = [(network, config)] if len(held_out) else []
    if judged_by:
        judges = [_open(folder, root, ended=True)[:2] for folder in judged_by]
        refuse_other_recipes(config, [its_config for _, its_config in judges])
        held_out_folds([its_config for _, its_config in judges])
    judged = [Judged(its_config, evaluate(other, _held_out(its_config), progress=True)) for other, its_config in judges]
    record = training_record(config, saved, judged)
    images = (held_out if len(held_out) else training).images
    path = release(
        network, record, images[:: max(1, len(images) // PARITY_IMAGES)][:PARITY_IMAGES], models, name, version
    )
    error = f"held-out error {record['validation_error']:.2%}" if judged else "nothing was held out"
    print(f"wrote {path}: {error}, {path.stat().st_size / 1e6:.2f} MB")


def judge_command(
    artefact: Annotated[Path, tyro.conf.Positional],
    root: Path = Path("data"),
    split: Literal["held-out", "test"] = "held-out",
    data: Path | None = None,
    to: Path = Path("runs/judge"),
) -> None:
    """Judge a released artefact by images that it never saw; a table is printed, JSON and a picture are written.

    Args:
        artefact: a version's folder, such as models/mnist/5, or its model.onnx
        root: folder that holds the data sets
        split: the images that its training held out, or the official test split, which is for final figures alone
        data: in their place a folder that holds one folder of images per class, all of which are judged; what was not
            trained on is for you to know
        to: folder for JSON and picture, which have the names of model, version and what it was judged by
    """
    asked = Artefact(artefact)
    channels, size, _ = asked.shape
    if data is not None and split == "test":
        raise ValueError("name --split test or --data FOLDER, not both")
    if data is not None and channels > 1:
        raise ValueError(f"{asked.path} takes pairs of pictures, a folder holds single ones")
    if data is not None:
        what, images = "folder", load(str(data.resolve()), root, size=size)
    else:
        name = asked.training.get("data_set")
        if name not in KNOWN:
            raise ValueError(
                f"{asked.path} was trained on {name}; name a folder of pictures to judge it by: --data FOLDER"
            )
        what, images = split, load(name, root, "test" if split == "test" else "train", stereo=channels == 2)
        if split == "held-out":
            images = unseen(images, asked.training)
    version = asked.path.absolute().parent
    ending = what if data is None else f"folder-{data.resolve().name}"
    _report(released(asked, images, what), to, f"{version.parent.name}-{version.name}-{ending}")


COMMANDS: dict[str, Callable[..., None]] = {
    "download": download_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "release": release_command,
    "judge": judge_command,
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


def _open(run_folder: Path, root: Path | None, *, ended: bool = False) -> tuple[Network, TrainConfig, dict[str, Any]]:
    """A run's network, its configuration with the folders as they are now, and all that its checkpoint holds.

    Of a run that is not at its end a line says so; where ``ended`` it is refused.
    """
    saved = checkpoint.load(run_folder / "last.pt")
    step, steps = saved["progress"]["step"], saved["schedule"]["total_steps"]
    if step < steps:
        standing = f"{run_folder} stands at step {step} of {steps} (train … --resume goes on)"
        if ended:
            raise ValueError(f"{standing}: only the end of a run is released, or judged beside others")
        print(f"note: {standing}")
    config = replace(restore(saved["config"]), run_folder=run_folder)
    return checkpoint.rebuild(saved), config if root is None else replace(config, root=root), saved


def _folds(folders: list[Path], root: Path | None) -> Report:
    """Each folder's runs, judged by what each of them held out."""
    found: dict[str, dict[Fold, tuple[Network, TrainConfig]]] = {}
    for folder in folders:
        runs = [_open(path.parent, root, ended=True)[:2] for path in sorted(folder.glob("*/last.pt"))]
        if not runs:
            raise FileNotFoundError(f"no run in a folder of {folder}: */last.pt")
        configs = [config for _, config in runs]
        refuse_other_recipes(configs[0], configs)
        name = "capsules" if configs[0].architecture == "capsules" else "CNN"
        if name in found:
            raise ValueError(f"{folder} holds runs of {name} too; a baseline is trained with --architecture cnn")
        found[name] = dict(zip(held_out_folds(configs), runs, strict=True))
    judges = {name: sorted({instance for _, instance in of_recipe}) for name, of_recipe in found.items()}
    if len(set(map(tuple, judges.values()))) > 1:
        raise ValueError(f"only equal folds can be compared, found the held-out instances {judges}")
    judged = {
        name: {
            fold: evaluate(network, _held_out(config), progress=True) for fold, (network, config) in of_recipe.items()
        }
        for name, of_recipe in found.items()
    }
    return folds(judged, configs[0].network.classes)


def _report(report: Report, folder: Path, suite: str) -> None:
    print(report.table)
    for path in write(report, folder, suite):
        print(f"wrote {path}")


def _epochs(run_folder: Path) -> dict[str, Network]:
    """The checkpoints of all epochs of a run, by file name."""
    paths = sorted(run_folder.glob("epoch-*.pt"))
    if not paths:
        raise FileNotFoundError(f"no epoch-*.pt in {run_folder}; train with --keep-epochs")
    return {path.name: checkpoint.rebuild(checkpoint.load(path)) for path in paths}


def _held_out(config: TrainConfig) -> ImageSet:
    return _split(config)[1]


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
