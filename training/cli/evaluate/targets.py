"""What ``matcaps evaluate`` measures: a run or a released artefact, and the images for it."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import Split
from matcaps.training.data import KNOWN, ImageSet, load
from matcaps.training.data.splits import held_out_of_record
from matcaps.training.engine.checkpoint import Network, kind
from matcaps.training.evaluation.runs import Run, open_baseline, open_run
from matcaps.training.release.artefact import Artefact


def is_run(target: Path) -> bool:
    """Whether the target is a run, and not an artefact.

    Raises:
        FileNotFoundError: It is neither.
    """
    if (target / "last.pt").is_file():
        return True
    if target.is_file() or (target / "model.onnx").is_file():
        return False
    raise FileNotFoundError(f"neither a run (last.pt) nor a released artefact (model.onnx) at {target}")


def open_target(
    target: Path,
    root: Path | None,
    split: Split,
    data: Path | None = None,
    validation: Path | None = None,
    only: str | None = None,
) -> tuple[Run, ImageSet]:
    """Open a run, and the images to evaluate it on; ``only`` names a suite that is for smallNORB alone."""
    run = open_only_a_run(target, root, data, validation)
    if only is not None and run.config.data.name != "smallnorb":
        raise ValueError(f"the suite {only} needs smallNORB, but {target} was trained on {run.config.data.name}")
    images = run.held_out() if split == "held-out" else run.test()
    require_some(images, target)
    return run, images


def open_only_a_run(target: Path, root: Path | None, data: Path | None, validation: Path | None) -> Run:
    """Open a run.

    Raises:
        ValueError: The target is an artefact.
    """
    if not is_run(target):
        raise ValueError(
            "only the suites standard, calibration and mistakes evaluate a released artefact; "
            f"the others need a run, got {target}"
        )
    return open_run(target, root, data, validation)


def require_some(images: ImageSet, target: Path) -> None:
    """Check that a run has images to be evaluated on.

    Raises:
        ValueError: It held nothing out.
    """
    if not len(images):
        raise ValueError(f"{target} held nothing out; only --split test has images that it was not trained on")


def networks(run: Run, baseline: Path | None) -> dict[str, Network]:
    """The network of a run, and that of its baseline, by their names in tables."""
    networks = {kind(run.network): run.network}
    if baseline is not None:
        beside = open_baseline(baseline, run)
        networks[kind(beside.network)] = beside.network
    return networks


def open_artefact(
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


def require_images(images: int) -> None:
    """Check the number of images to draw.

    Raises:
        ValueError: It is below 1.
    """
    if images < 1:
        raise ValueError(f"--images must be at least 1, got {images}")
