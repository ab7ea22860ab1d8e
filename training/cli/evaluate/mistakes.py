"""``matcaps evaluate mistakes TARGET``: a page of what a run or an artefact takes for another class."""

from pathlib import Path

from torch import Tensor

from matcaps.model import CapsNet
from matcaps.training.cli.evaluate.options import AnyData, AnyRoot, AnyTarget, AnyValidation, Split
from matcaps.training.cli.evaluate.publish import publish, publish_of_run
from matcaps.training.cli.evaluate.targets import is_run, open_artefact, open_only_a_run, require_some
from matcaps.training.data.subsets import join
from matcaps.training.engine.predict import predict_logits, primary_capsules
from matcaps.training.evaluation.calibration import fit
from matcaps.training.evaluation.lookalikes import sketches
from matcaps.training.evaluation.suites.mistakes import mistakes


def mistakes_suite(
    target: AnyTarget,
    root: AnyRoot = None,
    split: Split = "held-out",
    data: AnyData = None,
    validation: AnyValidation = None,
    to: Path | None = None,
) -> None:
    """A page of the pictures that are classified wrongly, most confident first, and of classes that look alike.

    Args:
        to: folder for the JSON and the page; by default the run's folder, or runs/evaluate
    """
    if is_run(target):
        run = open_only_a_run(target, root, data, validation)
        training, images = run.split() if split == "held-out" else (None, run.test())
        require_some(images, target)
        network = run.network
        logits = predict_logits(network, images.images, progress=True)
        slope, offset = fit(logits, images.labels)
        every = images if training is None else join(images, training)

        def sketches_of(pictures: Tensor) -> Tensor | None:
            return sketches(primary_capsules(network, pictures)) if isinstance(network, CapsNet) else None

        report = mistakes((logits * slope + offset).sigmoid(), images, every, sketches_of, str(target))
        publish_of_run(report, images, to or target, "mistakes", split)
        return
    artefact, images, version, what = open_artefact(target, root, split, data)
    report = mistakes(
        artefact.activations(images.images, progress=True),
        images,
        images,
        lambda pictures: sketches(artefact.primary_capsules(pictures)),
        version,
    )
    publish(report, to or Path("runs/evaluate"), f"{version}-mistakes-{what}")
