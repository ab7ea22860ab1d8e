"""``matcaps evaluate mistakes TARGET``: a page of what a run or an artefact takes for another class."""

from pathlib import Path

from torch import Tensor

from matcaps.model import CapsNet
from matcaps.training.cli.evaluate.publish import publish, publish_of_run
from matcaps.training.cli.evaluate.targets import Split, Target, is_run, open_artefact, open_only_a_run, require_some
from matcaps.training.data.subsets import join
from matcaps.training.engine.predict import predict_logits, primary_capsules
from matcaps.training.evaluation.calibration import fit
from matcaps.training.evaluation.lookalikes import sketches
from matcaps.training.evaluation.suites.mistakes import mistakes


def mistakes_suite(
    target: Target,
    root: Path | None = None,
    split: Split = "held-out",
    data: Path | None = None,
    validation: Path | None = None,
    to: Path | None = None,
) -> None:
    """A page of the pictures that are classified wrongly, most confident first, and of classes that look alike.

    Args:
        target: folder of a run, or a released artefact: model_repository/NAME/VERSION or its model.onnx
        root: folder that holds the data sets; by default that of the run's training, or data
        split: the held-out images, or the official test split, which is for final figures only
        data: of an artefact: a folder of images per class to evaluate on, all of it; of a run: where its folder is now
        validation: of a run: where its validation folder is now, if it moved
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
