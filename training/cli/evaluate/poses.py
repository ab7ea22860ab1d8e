"""``matcaps evaluate poses TARGET``: what the poses of a run say of the viewpoint."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import RunRoot, RunTarget, Split
from matcaps.training.cli.evaluate.publish import NO_BASELINE, publish_of_run
from matcaps.training.cli.evaluate.targets import networks, open_target
from matcaps.training.evaluation.suites.poses import poses


def poses_suite(
    target: RunTarget, baseline: Path | None = None, root: RunRoot = None, split: Split = "held-out"
) -> None:
    """How well the winning pose predicts elevation, lighting and azimuth, by linear maps.

    Args:
        baseline: folder of the same run with --architecture cnn, to compare with
    """
    run, images = open_target(target, root, split, only="poses")
    report = poses(networks(run, baseline), run.split()[0], images)
    publish_of_run(report, images, target, "poses", split)
    if baseline is None:
        print(NO_BASELINE)
