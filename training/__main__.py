"""The command line: ``matcaps {download,train,evaluate,release,judge}``."""

import contextlib
import functools
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
import tyro

from matcaps.model import CapsNet
from matcaps.training.config import RECIPES, TrainConfig
from matcaps.training.data import KNOWN, load, sample
from matcaps.training.data.download import download
from matcaps.training.engine.checkpoint import Network, kind
from matcaps.training.engine.loop import NonFiniteError, train
from matcaps.training.evaluation.metrics import evaluate
from matcaps.training.evaluation.report import Report, write
from matcaps.training.evaluation.suites.adversarial import adversarial
from matcaps.training.evaluation.suites.folds import folds
from matcaps.training.evaluation.suites.poses import poses
from matcaps.training.evaluation.suites.released import released
from matcaps.training.evaluation.suites.routing import routing
from matcaps.training.evaluation.suites.standard import standard
from matcaps.training.evaluation.suites.viewpoint import viewpoint
from matcaps.training.release.artefact import Artefact
from matcaps.training.release.export import free_version, release
from matcaps.training.release.record import Judged, refuse_other_recipes, training_record
from matcaps.training.runs import Run, open_baseline, open_epochs, open_folds, open_run
from matcaps.training.splits import Fold, held_out_folds, unseen

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
BESIDE = ("viewpoint", "adversarial", "poses")  # suites that put a baseline beside the capsules of one run


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
    print(f"the run's checkpoint is {path}; next: matcaps evaluate --run-folder {path.parent}")


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
        images: of how many images, drawn from all, adversarial and routing speak
    """
    if images < 1:
        raise ValueError(f"--images must be at least 1, found {images}")
    if suite == "folds":
        if split == "test":
            raise ValueError("folds are judged by what each run held out; the test split is asked of one run at a time")
        _report(_folds(run_folder, baseline, root), run_folder, suite)
        return
    run = open_run(run_folder, root)
    network, config = run.network, run.config
    judged = run.held_out() if split == "held-out" else run.test()
    if not len(judged):
        raise ValueError("the run held nothing out; only --split test has images that it never saw")
    networks = {kind(network): network}
    candidates: dict[str, Network] = {}
    if baseline is not None and suite in BESIDE:
        beside = open_baseline(baseline, run)
        networks[kind(beside.network)] = beside.network
        if suite == "viewpoint":
            candidates = open_epochs(baseline)
    if suite == "standard":
        report = standard(network, judged, {"elevation": config.elevations, "lighting": config.lightings})
    elif suite == "viewpoint":
        column = "lighting" if config.lightings else "elevation"
        values = config.lightings or config.elevations
        report = viewpoint(network, judged, column, values, candidates, name=kind(network))
    elif suite == "adversarial":
        report = adversarial(networks, sample(judged, images))
    elif suite == "poses":
        report = poses(networks, run.split()[0], judged)
    elif isinstance(network, CapsNet):
        report = routing(network, sample(judged, images))
    else:
        raise ValueError(f"{run_folder} holds a CNN, in which nothing is routed")
    report = report._replace(content={"data_set": judged.name, "split": split, **report.content})
    print(f"of {judged.name}: {'the official test split' if split == 'test' else 'what the run held out'}\n")
    _report(report, run_folder, suite if split == "held-out" else f"{suite}-test")
    if baseline is None and suite in BESIDE:
        print(
            "\nto see a CNN beside it: train the same with --architecture cnn --keep-epochs, then --baseline ITS_FOLDER"
        )


def release_command(
    run_folder: Path,
    name: str,
    root: Path | None = None,
    models: Path = Path("model_repository"),
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
    version = free_version(models, name, version)
    run = open_run(run_folder, root, ended=True)
    if not isinstance(run.network, CapsNet):
        raise ValueError(f"{run_folder} holds a CNN, which is there to compare with; only capsules are released")
    training, held_out = run.split()
    if judged_by and len(held_out):
        raise ValueError(f"{run_folder} held images out: it is judged by them, not by other runs")
    judges = [run] if len(held_out) else []
    if judged_by:
        judges = [open_run(folder, root, ended=True) for folder in judged_by]
        refuse_other_recipes(run.config, [judge.config for judge in judges])
        held_out_folds([judge.config for judge in judges])
    judged = [Judged(judge.config, evaluate(judge.network, judge.held_out(), progress=True)) for judge in judges]
    record = training_record(run.config, run.saved, judged)
    images = torch.cat([sample(of, PARITY_IMAGES).images for of in (held_out, training)])[:PARITY_IMAGES]
    path = release(run.network, record, images, models, name, version)
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
        artefact: a version's folder, such as model_repository/mnist/5, or its model.onnx
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
                prog="matcaps",
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
        return _complain("stopped" + "; --resume goes on from the last checkpoint" * (arguments[:1] == ["train"]), 130)
    return 0


def _folds(run_folder: Path, baseline: Path | None, root: Path | None) -> Report:
    """Each folder's runs, judged by what each of them held out."""
    found: dict[str, dict[Fold, Run]] = {}
    for folder in [run_folder] if baseline is None else [run_folder, baseline]:
        runs = open_folds(folder, root)
        name = kind(next(iter(runs.values())).network)
        if name in found:
            raise ValueError(f"{folder} holds runs of {name} too; a baseline is trained with --architecture cnn")
        found[name] = runs
    judges = {name: sorted({instance for _, instance in runs}) for name, runs in found.items()}
    if len(set(map(tuple, judges.values()))) > 1:
        raise ValueError(f"only equal folds can be compared, found the held-out instances {judges}")
    judged = {
        name: {fold: evaluate(run.network, run.held_out(), progress=True) for fold, run in runs.items()}
        for name, runs in found.items()
    }
    return folds(judged, next(iter(runs.values())).config.network.classes)


def _report(report: Report, folder: Path, suite: str) -> None:
    print(report.table)
    for path in write(report, folder, suite):
        print(f"wrote {path}")


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
    print(f"matcaps: {text}", file=sys.stderr)
    return status
