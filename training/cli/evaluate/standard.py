"""``matcaps evaluate standard TARGET``: the error of a run or an artefact, and what it confuses."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import AnyData, AnyRoot, AnyTarget, AnyValidation, Split
from matcaps.training.cli.evaluate.publish import publish, publish_of_run
from matcaps.training.cli.evaluate.targets import is_run, open_artefact, open_target
from matcaps.training.evaluation.suites.artefact import standard_of_artefact
from matcaps.training.evaluation.suites.standard import standard


def standard_suite(
    target: AnyTarget,
    root: AnyRoot = None,
    split: Split = "held-out",
    data: AnyData = None,
    validation: AnyValidation = None,
    to: Path | None = None,
) -> None:
    """Error with its confidence interval, confusions; of a run also with thirteen crops.

    Args:
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
