"""``matcaps evaluate adversarial TARGET``: the accuracy of a run under attack."""

from pathlib import Path

from matcaps.training.cli.evaluate.publish import NO_BASELINE, publish_of_run
from matcaps.training.cli.evaluate.targets import Split, Target, networks, open_target, require_images
from matcaps.training.data import sample
from matcaps.training.evaluation.suites.adversarial import adversarial


def adversarial_suite(
    target: Target,
    baseline: Path | None = None,
    images: int = 1000,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    validation: Path | None = None,
) -> None:
    """Accuracy under white-box attacks: FGSM and BIM.

    Args:
        target: folder of the run
        baseline: folder of the same run with --architecture cnn, to compare with
        images: number of images, drawn from all
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
        data: where the run's folder of images is now, if it moved
        validation: where the run's validation folder is now, if it moved
    """
    require_images(images)
    run, available = open_target(target, root, split, data, validation)
    report = adversarial(networks(run, baseline), sample(available, images))
    publish_of_run(report, available, target, "adversarial", split)
    if baseline is None:
        print(NO_BASELINE)
