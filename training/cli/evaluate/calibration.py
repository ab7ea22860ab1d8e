"""``matcaps evaluate calibration TARGET``: what the activations of a run or an artefact mean."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from matcaps.training.cli.evaluate.options import AnyData, AnyRoot, AnyTarget, AnyValidation, Split
from matcaps.training.cli.evaluate.publish import publish, publish_of_run
from matcaps.training.cli.evaluate.targets import is_run, open_artefact, open_target
from matcaps.training.data import KNOWN, ImageSet, load, sample
from matcaps.training.engine.predict import predict_logits
from matcaps.training.evaluation.calibration import cross_fitted, fit
from matcaps.training.evaluation.suites.calibration import calibration
from matcaps.training.paths import NameOrFolder

OTHER_IMAGES = 5000


def calibration_suite(
    target: AnyTarget,
    other: NameOrFolder | None = None,
    root: AnyRoot = None,
    split: Split = "held-out",
    data: AnyData = None,
    validation: AnyValidation = None,
    to: Path | None = None,
) -> None:
    """Whether an activation is the probability that its class is present, and what pictures of nothing get.

    Args:
        other: images of other things: mnist, fashion-mnist or a folder; by default the other one of these two
        to: folder for the JSON and the plot; by default the run's folder, or runs/evaluate
    """
    if is_run(target):
        run, images = open_target(target, root, split, data, validation)
        logits = predict_logits(run.network, images.images, progress=True)
        slope, offset = fit(logits, images.labels)
        report = calibration(
            lambda pictures: (predict_logits(run.network, pictures) * slope + offset).sigmoid(),
            images,
            {"of the run": logits.sigmoid(), "calibrated": cross_fitted(logits, images.labels)},
            _others(other, images, run.config.run.root, split),
        )
        publish_of_run(report, images, to or target, "calibration", split)
        return
    artefact, images, version, what = open_artefact(target, root, split, data)
    report = calibration(
        artefact.activations,
        images,
        {"as released": artefact.activations(images.images, progress=True)},
        _others(other, images, root or Path("data"), split),
    )
    publish(report, to or Path("runs/evaluate"), f"{version}-calibration-{what}")


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
