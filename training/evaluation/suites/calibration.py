"""The suite calibration: whether an activation is the probability that its class is present."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from matcaps.training.data import ImageSet
from matcaps.training.data.negatives import KINDS
from matcaps.training.evaluation.calibration import Bin, quality, reliability, separation
from matcaps.training.evaluation.report import Report, columns

PICTURES_OF_NOTHING = 200  # of each kind
SEED = 0  # of the pictures of nothing


def calibration(
    activations_of: Callable[[Tensor], Tensor],
    images: ImageSet,
    calibrated: Mapping[str, Tensor],
    other: ImageSet | None = None,
) -> Report:
    """Brier score, expected calibration error and reliability; the largest activation on pictures of nothing; AUROC.

    Args:
        activations_of: Activations [n, classes] of images that are not in ``calibrated``, as they are served.
        images: Images that the network was not trained on.
        calibrated: Activations of these images by the name of their calibration; the last ones are drawn.
        other: Images of other things, whose classes the network does not have.
    """
    qualities = {name: quality(activations, images.labels) for name, activations in calibrated.items()}
    rows = [["activations", "Brier score", "calibration error", "by chance", "present classes", "absent classes"]]
    for name, of in qualities.items():
        values = [f"{of.brier:.4f}", f"{of.calibration_error:.4f}", f"{of.by_chance:.4f}"]
        rows.append([name, *values, f"mean {of.present:.3f}", f"mean {of.absent:.3f}"])
    content: dict[str, Any] = {"images": len(images), "activations": {n: of._asdict() for n, of in qualities.items()}}
    table = f"{len(images)} images, {len(images.classes)} classes\n\n{columns(rows)}"

    highest = calibrated[list(calibrated)[-1]].amax(1)
    nothing = {kind.__name__.replace("_", " "): activations_of(_drawn(kind, images)).amax(1) for kind in KINDS}
    if other is not None:
        nothing[other.name] = activations_of(other.images).amax(1)
    rows = [["largest activation on pictures of nothing", "mean", "highest", "AUROC"]]
    content["nothing"] = {}
    for name, found in nothing.items():
        auroc = separation(highest, found)
        rows.append([name, f"{float(found.mean()):.3f}", f"{float(found.max()):.3f}", f"{auroc:.4f}"])
        content["nothing"][name] = {"mean": float(found.mean()), "highest": float(found.max()), "auroc": auroc}
    table += f"\n\n{columns(rows)}"
    table += "\nAUROC: the probability that a held-out image has a larger highest activation than such a picture"
    bins = {name: reliability(activations, images.labels) for name, activations in calibrated.items()}
    content["reliability"] = {name: [bin_._asdict() for bin_ in of] for name, of in bins.items()}
    return Report(table, content, _figure(bins))


def _drawn(kind: Callable[[Tensor, torch.Generator], Tensor], images: ImageSet) -> Tensor:
    """Pictures of nothing of one kind, as large as the images."""
    draws = torch.Generator().manual_seed(SEED)
    rows = torch.randint(len(images), (PICTURES_OF_NOTHING,), generator=draws).tolist()
    drawn = torch.stack([kind(images.images[row].float(), draws) for row in rows])
    return drawn.round().clamp(0.0, 255.0).to(torch.uint8)


def _figure(found: Mapping[str, list[Bin]]) -> Figure:
    """The reliability diagram: the share of true statements by activation, and their number."""
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    above.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated perfectly")
    for name, bins in found.items():
        activations = [of.activation for of in bins]
        above.plot(activations, [of.share for of in bins], marker="o", label=name)
        below.plot(activations, [of.number for of in bins], marker="o")
    above.set_ylabel("share of these classes that are present")
    above.set_ylim(-0.02, 1.02)
    above.legend()
    below.set_yscale("log")
    below.set_ylabel("number")
    below.set_xlabel("activation")
    below.set_xlim(-0.02, 1.02)
    return figure
