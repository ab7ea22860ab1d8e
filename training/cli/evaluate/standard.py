"""``matcaps evaluate standard TARGET``: the error of a run or an artefact, and what it confuses."""

from pathlib import Path

from matcaps.training.cli.evaluate.publish import publish, publish_of_run
from matcaps.training.cli.evaluate.targets import Split, Target, is_run, open_artefact, open_target
from matcaps.training.evaluation.suites.artefact import standard_of_artefact
from matcaps.training.evaluation.suites.standard import standard


def standard_suite(
    target: Target,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    validation: Path | None = None,
    to: Path | None = None,
) -> None:
    """Error with its confidence interval, confusions; of a run also with thirteen crops.

    Args:
        target: folder of a run, or a released artefact: model_repository/NAME/VERSION or its model.onnx
        root: folder that holds the data sets; by default that of the run's training, or data
        split: the held-out images, or the official test split, which is for final figures only
        data: of an artefact: a folder of images per class to evaluate on, all of it; of a run: where its folder is now
        validation: of a run: where its validation folder is now, if it moved
        to: folder for the JSON and the plot; by default the run's folder, or runs/evaluate
    """
    if not is_run(target):
        artefact, images, version, what = open_artefact(target, root, split, data)
        label = split if data is None else "folder"
        predicted = artefact.predict(images.images, progress=True)
        report = standard_of_artefact(predicted, images, label, artefact.training, artefact.path)
        publish(report, to or Path("runs/evaluate"), f"{version}-{what}")
        return
    run, images = open_target(target, root, split, data, validation)
    options = run.config.data
    report = standard(run.network, images, {"elevation": options.elevations, "lighting": options.lightings})
    publish_of_run(report, images, to or target, "standard", split)
