"""``matcaps evaluate poses TARGET``: what the poses of a run say of the viewpoint."""

from pathlib import Path

from matcaps.training.cli.evaluate.publish import NO_BASELINE, publish_of_run
from matcaps.training.cli.evaluate.targets import Split, Target, networks, open_target
from matcaps.training.evaluation.suites.poses import poses


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
    run, images = open_target(target, root, split, only="poses")
    report = poses(networks(run, baseline), run.split()[0], images)
    publish_of_run(report, images, target, "poses", split)
    if baseline is None:
        print(NO_BASELINE)
