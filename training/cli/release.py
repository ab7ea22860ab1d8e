"""``matcaps release RUN --name NAME``: export a trained network as an artefact for the service."""

from functools import partial
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor
from tyro.conf import Positional, arg

from matcaps.model import CapsNet
from matcaps.training.cli import command
from matcaps.training.data import sample
from matcaps.training.engine.predict import predict_logits
from matcaps.training.evaluation.calibration import cross_fitted, fit, quality
from matcaps.training.evaluation.metrics import compare
from matcaps.training.evaluation.nothing import on_nothing
from matcaps.training.evaluation.runs import Run, held_out_folds, open_run, require_same_recipe
from matcaps.training.release.export import free_version, release
from matcaps.training.release.record import EvaluatedRun, training_record

PARITY_IMAGES = 64


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    return command.run("release", release_command, arguments)


def release_command(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    name: str,
    root: Path | None = None,
    models: Path = Path("model_repository"),
    version: int | None = None,
    evaluated_by: tuple[Path, ...] = (),
    max_calibration_error: float = 0.02,
    data: Path | None = None,
    validation: Path | None = None,
) -> None:
    """Export a trained network for the service, after comparing it with torch on real images.

    Args:
        run: folder of the run
        name: name of the model
        root: folder that holds the data sets; by default that of the run's training
        models: folder of models that the service reads
        version: version of the model; by default the one after the highest
        evaluated_by: if the run held nothing out: runs of the same recipe that did, whose error goes into the record
        max_calibration_error: largest expected calibration error on held-out images, above that of chance
        data: where the run's folder of images is now, if it moved
        validation: where the run's validation folder is now, if it moved
    """
    version = free_version(models, name, version)
    final = open_run(run, root, data, validation, finished=True)
    if not isinstance(final.network, CapsNet):
        raise ValueError(f"only capsules can be released, but {run} holds a CNN")
    training, held_out = final.split()
    if evaluated_by and len(held_out):
        raise ValueError(f"--evaluated-by is for a run that held nothing out, but {run} held images out")
    evaluated = [final] if len(held_out) else _open_others(final, evaluated_by, root)
    found = [(other, other.held_out()) for other in evaluated]
    logits = [predict_logits(other.network, images.images, progress=True) for other, images in found]
    evaluations = [
        EvaluatedRun(other.config, compare(of_images.argmax(1), images))
        for (other, images), of_images in zip(found, logits, strict=True)
    ]
    record = training_record(final.config, final.saved, evaluations)
    if found:
        labels, all_logits = torch.cat([images.labels for _, images in found]), torch.cat(logits)
        record["calibration"] = _calibrate(final.network, all_logits, labels, max_calibration_error)
        # A network that held nothing out was trained on these images, so they are judged by the runs that were not.
        present = cross_fitted(all_logits, labels).amax(1)
        nothing = on_nothing(partial(_activations, final.network), found[0][1].images, present)
        record["nothing"] = {name: of._asdict() for name, of in nothing.items()}
    images = torch.cat([sample(of, PARITY_IMAGES).images for of in (held_out, training)])[:PARITY_IMAGES]
    path = release(final.network, record, images, models, name, version)
    error = f"held-out error {record['validation_error']:.2%}" if evaluations else "nothing was held out"
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    print(f"wrote {path.parent}: {error}, {size / 1e6:.2f} MB")


def _calibrate(network: CapsNet, logits: Tensor, labels: Tensor, highest: float) -> dict[str, Any]:
    """Calibrate a network by the logits of held-out images; returns how well that was done, for the record.

    Raises:
        ValueError: The expected calibration error is above ``highest``.
    """
    slope, offset = fit(logits, labels)
    found = quality(cross_fitted(logits, labels), labels)
    if found.calibration_error > highest + found.by_chance:
        enough = ceil(100.0 * found.calibration_error) / 100.0
        raise ValueError(
            f"the expected calibration error on {found.images} held-out images must be at most {highest:g} above the "
            f"{found.by_chance:.4f} of chance, got {found.calibration_error:.4f}; matcaps evaluate calibration shows "
            f"it, --max-calibration-error {enough:g} releases the model anyway"
        )
    map_ = network.calibration
    map_.then(slope, offset)
    return {"slope": float(map_.slope), "offset": float(map_.offset), **found._asdict()}


def _activations(network: CapsNet, images: Tensor) -> Tensor:
    return predict_logits(network, images).sigmoid()  # calibrated by now


def _open_others(final: Run, folders: tuple[Path, ...], root: Path | None) -> list[Run]:
    """Open the runs that evaluate a final model."""
    others = [open_run(folder, root, finished=True) for folder in folders]
    if others:
        require_same_recipe(final.config, [other.config for other in others])
        held_out_folds([other.config for other in others])
    return others
