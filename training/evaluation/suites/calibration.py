"""The suite calibration: whether an activation is the probability that its class is present."""

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.calibration import Bin, quality, reliability
from matcaps.training.evaluation.nothing import on_nothing
from matcaps.training.evaluation.report import Report, columns


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

    others = {} if other is None else {other.name: other.images}
    nothing = on_nothing(activations_of, images.images, calibrated[list(calibrated)[-1]].amax(1), others)
    rows = [["largest activation on pictures of nothing", "mean", "highest", "AUROC"]]
    rows += [[name, f"{of.mean:.3f}", f"{of.highest:.3f}", f"{of.auroc:.4f}"] for name, of in nothing.items()]
    content["nothing"] = {name: of._asdict() for name, of in nothing.items()}
    table += f"\n\n{columns(rows)}"
    table += "\nAUROC: the probability that a held-out image has a larger highest activation than such a picture"
    bins = {name: reliability(activations, images.labels) for name, activations in calibrated.items()}
    content["reliability"] = {name: [bin_._asdict() for bin_ in of] for name, of in bins.items()}
    return Report(table, content, _figure(bins))


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
