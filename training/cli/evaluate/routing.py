"""``matcaps evaluate routing TARGET``: how the routing of a run sharpens."""

from matcaps.model import CapsNet
from matcaps.training.cli.evaluate.options import RunData, RunRoot, RunTarget, RunValidation, Split
from matcaps.training.cli.evaluate.publish import publish_of_run
from matcaps.training.cli.evaluate.targets import open_target, require_images
from matcaps.training.data import sample
from matcaps.training.evaluation.suites.routing import routing


def routing_suite(
    target: RunTarget,
    images: int = 1000,
    root: RunRoot = None,
    split: Split = "held-out",
    data: RunData = None,
    validation: RunValidation = None,
) -> None:
    """How routing sharpens assignments by iteration, dead capsules, and activations.

    Args:
        images: number of images, drawn from all
    """
    require_images(images)
    run, available = open_target(target, root, split, data, validation)
    if not isinstance(run.network, CapsNet):
        raise ValueError(f"the suite routing needs capsules, but {target} holds a CNN")
    publish_of_run(routing(run.network, sample(available, images)), available, target, "routing", split)
