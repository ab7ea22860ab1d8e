"""``matcaps evaluate adversarial TARGET``: the accuracy of a run under attack."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import RunData, RunRoot, RunTarget, RunValidation, Split
from matcaps.training.cli.evaluate.publish import NO_BASELINE, publish_of_run
from matcaps.training.cli.evaluate.targets import networks, open_target, require_images
from matcaps.training.data import sample
from matcaps.training.evaluation.suites.adversarial import adversarial


def adversarial_suite(
    target: RunTarget,
    baseline: Path | None = None,
    images: int = 1000,
    root: RunRoot = None,
    split: Split = "held-out",
    data: RunData = None,
    validation: RunValidation = None,
) -> None:
    """Accuracy under white-box attacks: FGSM and BIM.

    Args:
        baseline: folder of the same run with --architecture cnn, to compare with
        images: number of images, drawn from all
    """
    require_images(images)
    run, available = open_target(target, root, split, data, validation)
    report = adversarial(networks(run, baseline), sample(available, images))
    publish_of_run(report, available, target, "adversarial", split)
    if baseline is None:
        print(NO_BASELINE)
