"""``matcaps evaluate routing TARGET``: how the routing of a run sharpens."""

from pathlib import Path

from matcaps.model import CapsNet
from matcaps.training.cli.evaluate.publish import publish_of_run
from matcaps.training.cli.evaluate.targets import Split, Target, open_target, require_images
from matcaps.training.data import sample
from matcaps.training.evaluation.suites.routing import routing


def routing_suite(
    target: Target,
    images: int = 1000,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    validation: Path | None = None,
) -> None:
    """How routing sharpens assignments by iteration, dead capsules, and activations.

    Args:
        target: folder of the run
        images: number of images, drawn from all
        root: folder that holds the data sets; by default that of the run's training
        split: the held-out images, or the official test split, which is for final figures only
        data: where the run's folder of images is now, if it moved
        validation: where the run's validation folder is now, if it moved
    """
    require_images(images)
    run, available = open_target(target, root, split, data, validation)
    if not isinstance(run.network, CapsNet):
        raise ValueError(f"the suite routing needs capsules, but {target} holds a CNN")
    publish_of_run(routing(run.network, sample(available, images)), available, target, "routing", split)
