"""``matcaps evaluate viewpoint TARGET``: the errors of a run at viewpoints that it never saw."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import RunRoot, RunTarget, Split
from matcaps.training.cli.evaluate.publish import NO_BASELINE, publish_of_run
from matcaps.training.cli.evaluate.targets import open_target
from matcaps.training.engine.checkpoint import Network, kind
from matcaps.training.evaluation.runs import open_baseline, open_epochs
from matcaps.training.evaluation.suites.viewpoint import viewpoint


def viewpoint_suite(
    target: RunTarget, baseline: Path | None = None, root: RunRoot = None, split: Split = "held-out"
) -> None:
    """Errors at the elevations or lightings that a run trained with --elevations or --lightings never saw.

    Args:
        baseline: folder of the same run with --architecture cnn --keep-epochs, to compare with
    """
    run, images = open_target(target, root, split, only="viewpoint")
    candidates: dict[str, Network] = {}
    if baseline is not None:
        open_baseline(baseline, run)
        candidates = open_epochs(baseline)
    data = run.config.data
    column, values = ("lighting", data.lightings) if data.lightings else ("elevation", data.elevations)
    report = viewpoint(run.network, images, column, values, candidates, name=kind(run.network))
    publish_of_run(report, images, target, "viewpoint", split)
    if baseline is None:
        print(NO_BASELINE)
