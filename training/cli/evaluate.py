"""``matcaps evaluate [SUITE] TARGET [options]``: evaluate a run, or a released artefact.

The suite is ``standard`` if none is named. A target that has the name of a suite is written as ``./NAME``.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from matcaps.model import CapsNet
from matcaps.training.cli import command
from matcaps.training.data import KNOWN, ImageSet, load, sample
from matcaps.training.data.splits import held_out_of_record
from matcaps.training.engine.checkpoint import Network, kind
from matcaps.training.engine.predict import predict_logits
from matcaps.training.evaluation.calibration import cross_fitted, fit
from matcaps.training.evaluation.metrics import evaluate_toys
from matcaps.training.evaluation.report import Report, write
from matcaps.training.evaluation.runs import Run, open_baseline, open_epochs, open_folds, open_run
from matcaps.training.evaluation.suites.adversarial import adversarial
from matcaps.training.evaluation.suites.artefact import standard_of_artefact
from matcaps.training.evaluation.suites.calibration import calibration
from matcaps.training.evaluation.suites.folds import folds
from matcaps.training.evaluation.suites.poses import poses
from matcaps.training.evaluation.suites.routing import routing
from matcaps.training.evaluation.suites.standard import standard
from matcaps.training.evaluation.suites.viewpoint import viewpoint
from matcaps.training.paths import NameOrFolder
from matcaps.training.release.artefact import Artefact

Target = Annotated[Positional[Path], arg(metavar="TARGET")]
Split = Literal["held-out", "test"]
OTHER_IMAGES = 5000
NO_BASELINE = (
    "\nto compare with a CNN, train it with --architecture cnn --keep-epochs and name its folder as --baseline"
)


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    if arguments[:1] not in ([name] for name in (*SUITES, "-h", "--help")):
        arguments = ["standard", *arguments]
    description = (
        "Evaluate a run or a released artefact: matcaps evaluate [SUITE] TARGET. The default suite is standard."
    )
    return command.run("evaluate", SUITES, arguments, description=description)


def standard_suite(
    target: Target,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    to: Path | None = None,
) -> None:
    """Error with its confidence interval, confusions; of a run also with thirteen crops.

    Args:
        target: folder of a run, or a released artefact: model_repository/NAME/VERSION or its model.onnx
        root: folder that holds the data sets; by default that of the run's training, or data
        split: the held-out images, or the official test split, which is for final figures only
        data: of an artefact: a folder of images per class to evaluate on, all of it; of a run: where its folder is now
        to: folder for the JSON and the plot; by default the run's folder, or runs/evaluate
    """
    if not _is_run(target):
        artefact, images, version, what = _open_artefact(target, root, split, data)
        label = split if data is None else "folder"
        predicted = artefact.predict(images.images, progress=True)
        report = standard_of_artefact(predicted, images, label, artefact.training, artefact.path)
        _publish(report, to or Path("runs/evaluate"), f"{version}-{what}")
        return
    run, images = _open(target, root, split, data)
    options = run.config.data
    report = standard(run.network, images, {"elevation": options.elevations, "lighting": options.lightings})
    _publish_of_run(report, images, to or target, "standard", split)


def calibration_suite(
    target: Target,
    other: NameOrFolder | None = None,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    to: Path | None = None,
) -> None:
    """Whether an activation is the probability that its class is present, and what pictures of nothing get.

    Args:
        target: folder of a run, or a released artefact: model_repository/NAME/VERSION or its model.onnx
        other: images of other things: mnist, fashion-mnist or a folder; by default the other one of these two
        root: folder that holds the data sets; by default that of the run's training, or data
        split: the held-out images, or the official test split, which is for final figures only
        data: of an artefact: a folder of images per class to evaluate on, all of it; of a run: where its folder is now
        to: folder for the JSON and the plot; by default the run's folder, or runs/evaluate
    """
    if _is_run(target):
        run, images = _open(target, root, split, data)
        logits = predict_logits(run.network, images.images, progress=True)
        slope, offset = fit(logits, images.labels)
        report = calibration(
            lambda pictures: (predict_logits(run.network, pictures) * slope + offset).sigmoid(),
            images,
            {"of the run": logits.sigmoid(), "calibrated": cross_fitted(logits, images.labels)},
            _others(other, images, run.config.run.root, split),
        )
        _publish_of_run(report, images, to or target, "calibration", split)
        return
    artefact, images, version, what = _open_artefact(target, root, split, data)
    report = calibration(
        artefact.activations,
        images,
        {"as released": artefact.activations(images.images, progress=True)},
        _others(other, images, root or Path("data"), split),
    )
    _publish(report, to or Path("runs/evaluate"), f"{version}-calibration-{what}")


def folds_suite(target: Target, baseline: Path | None = None, root: Path | None = None) -> None:
    """Error and log-loss by toy of smallNORB, from the runs that matcaps folds trained; compares two recipes.

    Args:
        target: folder that holds the folders of the runs
        baseline: folder of the runs of another recipe, to compare with
        root: folder that holds the data sets; by default that of each run's training
    """
    if baseline is not None and baseline.resolve() == target.resolve():
        raise ValueError(f"the baseline must be another folder, got {target} twice")
    opened = [open_folds(folder, root) for folder in ([target] if baseline is None else [target, baseline])]
    kinds = [kind(next(iter(runs.values())).network) for runs in opened]
    names = kinds if len(set(kinds)) == len(kinds) else [str(folder) for folder in (target, baseline)]
    runs_of = dict(zip(names, opened, strict=True))
    ways = {name: sorted({fold.instances for fold in runs}) for name, runs in runs_of.items()}
    if len(set(map(tuple, ways.values()))) > 1:
        raise ValueError(f"the runs must hold out the same instances, got {ways}")
    evaluations = {
        name: {fold: evaluate_toys(run.network, run.held_out(), progress=True) for fold, run in runs.items()}
        for name, runs in runs_of.items()
    }
    classes = next(iter(next(iter(runs_of.values())).values())).config.network.classes
    _publish(folds(evaluations, classes), target, "folds")


def viewpoint_suite(
    target: Target, baseline: Path | None = None, root: Path | None = None, split: Split = "held-out"
) -> None:
    """Errors at the elevations or lightings that a run trained with --elevations or --lightings never saw.

    Args:
        target: folder of the run
        baseline: folder of the same run with --architecture cnn --keep-epochs, to compare with
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
    """
    run, images = _open(target, root, split, only="viewpoint")
    candidates: dict[str, Network] = {}
    if baseline is not None:
        open_baseline(baseline, run)
        candidates = open_epochs(baseline)
    data = run.config.data
    column, values = ("lighting", data.lightings) if data.lightings else ("elevation", data.elevations)
    report = viewpoint(run.network, images, column, values, candidates, name=kind(run.network))
    _publish_of_run(report, images, target, "viewpoint", split)
    if baseline is None:
        print(NO_BASELINE)


def adversarial_suite(
    target: Target,
    baseline: Path | None = None,
    images: int = 1000,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
) -> None:
    """Accuracy under white-box attacks: FGSM and BIM.

    Args:
        target: folder of the run
        baseline: folder of the same run with --architecture cnn, to compare with
        images: number of images, drawn from all
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
        data: where the run's folder of images is now, if it moved
    """
    _require_images(images)
    run, available = _open(target, root, split, data)
    report = adversarial(_networks(run, baseline), sample(available, images))
    _publish_of_run(report, available, target, "adversarial", split)
    if baseline is None:
        print(NO_BASELINE)


def poses_suite(
    target: Target, baseline: Path | None = None, root: Path | None = None, split: Split = "held-out"
) -> None:
    """How well the winning pose predicts elevation, lighting and azimuth, by linear maps.

    Args:
        target: folder of the run
        baseline: folder of the same run with --architecture cnn, to compare with
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
    """
    run, images = _open(target, root, split, only="poses")
    report = poses(_networks(run, baseline), run.split()[0], images)
    _publish_of_run(report, images, target, "poses", split)
    if baseline is None:
        print(NO_BASELINE)


def routing_suite(
    target: Target,
    images: int = 1000,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
) -> None:
    """How routing sharpens assignments by iteration, dead capsules, and activations.

    Args:
        target: folder of the run
        images: number of images, drawn from all
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
        data: where the run's folder of images is now, if it moved
    """
    _require_images(images)
    run, available = _open(target, root, split, data)
    if not isinstance(run.network, CapsNet):
        raise ValueError(f"the suite routing needs capsules, but {target} holds a CNN")
    _publish_of_run(routing(run.network, sample(available, images)), available, target, "routing", split)


SUITES: dict[str, Callable[..., None]] = {
    "standard": standard_suite,
    "calibration": calibration_suite,
    "folds": folds_suite,
    "viewpoint": viewpoint_suite,
    "adversarial": adversarial_suite,
    "poses": poses_suite,
    "routing": routing_suite,
}


def _is_run(target: Path) -> bool:
    """Whether the target is a run, and not an artefact.

    Raises:
        FileNotFoundError: It is neither.
    """
    if (target / "last.pt").is_file():
        return True
    if target.is_file() or (target / "model.onnx").is_file():
        return False
    raise FileNotFoundError(f"neither a run (last.pt) nor a released artefact (model.onnx) at {target}")


def _open(
    target: Path, root: Path | None, split: Split, data: Path | None = None, only: str | None = None
) -> tuple[Run, ImageSet]:
    """Open a run, and the images to evaluate it on; ``only`` names a suite that is for smallNORB alone."""
    if not _is_run(target):
        raise ValueError(
            "only the suites standard and calibration evaluate a released artefact; "
            f"the others need a run, got {target}"
        )
    run = open_run(target, root, data)
    if only is not None and run.config.data.name != "smallnorb":
        raise ValueError(f"the suite {only} needs smallNORB, but {target} was trained on {run.config.data.name}")
    images = run.held_out() if split == "held-out" else run.test()
    if not len(images):
        raise ValueError(f"{target} held nothing out; only --split test has images that it was not trained on")
    return run, images


def _networks(run: Run, baseline: Path | None) -> dict[str, Network]:
    """The network of a run, and that of its baseline, by their names in tables."""
    networks = {kind(run.network): run.network}
    if baseline is not None:
        beside = open_baseline(baseline, run)
        networks[kind(beside.network)] = beside.network
    return networks


def _open_artefact(
    target: Path, root: Path | None, split: Split, data: Path | None
) -> tuple[Artefact, ImageSet, str, str]:
    """Open an artefact, and the images to evaluate it on; and the names of both in file names."""
    artefact = Artefact(target)
    images, what = _images_for(artefact, root or Path("data"), split, data)
    version = artefact.path.absolute().parent
    return artefact, images.among(artefact.classes), f"{version.parent.name}-{version.name}", what


def _images_for(artefact: Artefact, root: Path, split: Split, data: Path | None) -> tuple[ImageSet, str]:
    """The images to evaluate an artefact on, and their name in file names."""
    channels, size, _ = artefact.shape
    if data is not None:
        if split == "test":
            raise ValueError("use --split test or --data FOLDER, not both")
        if channels == 2:
            raise ValueError(f"--data has single images, but {artefact.path} takes pairs of images")
        folder = data.resolve()
        return load(str(folder), root, size=size, channels=3 if channels == 3 else 1), f"folder-{folder.name}"
    name = artefact.training.get("data_set")
    if name not in KNOWN:
        raise ValueError(
            f"{artefact.path} was trained on {name}, which is not a public data set; use --data FOLDER to evaluate it"
        )
    images = load(name, root, "test" if split == "test" else "train", stereo=channels == 2)
    return (images if split == "test" else held_out_of_record(images, artefact.training)), split


def _others(name: str | None, images: ImageSet, root: Path, split: Split) -> ImageSet | None:
    """Images of other things, as large as the images; None without a name where there is no counterpart on the disk.

    Raises:
        ValueError: They have another size.
    """
    _, channels, _, size = images.images.shape
    part: Literal["train", "test"] = "test" if split == "test" else "train"
    if name is None:
        counterpart = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}.get(images.name)
        if counterpart is None:
            return None
        try:
            others = load(counterpart, root, part)
        except FileNotFoundError as error:
            print(f"note: no comparison with other images: {error}")
            return None
    elif name in KNOWN:
        others = load(name, root, part, stereo=channels == 2)
    else:
        others = load(name, root, size=size, channels=3 if channels == 3 else 1)
    if channels == 3 and name in KNOWN:
        others = replace(others, images=others.images.expand(-1, 3, -1, -1))  # grey, as the service makes it RGB
    if others.images.shape[1:] != images.images.shape[1:]:
        shapes = [list(of.images.shape[1:]) for of in (images, others)]
        raise ValueError(f"--other must have images of the shape {shapes[0]}, got {shapes[1]} of {others.name}")
    return sample(others, min(len(others), OTHER_IMAGES))


def _publish_of_run(report: Report, images: ImageSet, folder: Path, suite: str, split: Split) -> None:
    """Print and write the report of a run on a split."""
    report = report._replace(content={"data_set": images.name, "split": split, **report.content})
    print(f"{images.name}, {'the official test split' if split == 'test' else 'held-out images'}\n")
    _publish(report, folder, suite if split == "held-out" else f"{suite}-test")


def _publish(report: Report, folder: Path, name: str) -> None:
    print(report.table)
    for path in write(report, folder, name):
        print(f"wrote {path}")


def _require_images(images: int) -> None:
    if images < 1:
        raise ValueError(f"--images must be at least 1, got {images}")
