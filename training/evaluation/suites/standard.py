"""The suite standard, for a run: error by class and instance, with one crop and with thirteen."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.predict import BATCH, predict
from matcaps.training.evaluation.metrics import Evaluation, compare, wilson
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.suites.viewpoint import errors_by_viewpoint


def standard(
    network: Network,
    images: ImageSet,
    familiar: Mapping[str, Sequence[int] | None],
    *,
    progress: bool = True,
) -> Report:
    """Error with its confidence interval, confusion matrix, and the error averaged over crops.

    Args:
        network: The network.
        images: Images that it was not trained on.
        familiar: The only values of elevation or lighting that it was trained on; the error at the others is separate.
        progress: Whether to show progress bars.
    """
    predicted = predict(network, images.images, progress=progress)
    found = compare(predicted, images)
    content = counts(found, images.classes)
    rows = [["", "error", "95 % interval"], error_row("one crop, the centre", found.error, found.interval)]
    if (offsets := crops(images.images.shape[-1], network.config.crop_size))[1:]:
        wrong = int((by_crops(network, images.images, offsets, progress=progress) != images.labels).sum())
        error, interval = wrong / len(images), wilson(wrong, len(images))
        rows.append(error_row(f"{len(offsets)} crops, averaged", error, interval))
        content["crops"] = {"offsets": offsets, "error": error, "interval_95": list(interval)}
    table = f"{found.images} images\n\n{columns(rows)}"
    for column, (errors, its_table) in errors_by_viewpoint(predicted, images, familiar).items():
        table += f"\n\n{its_table}"
        content[column] = errors._asdict()
    table += f"\n\n{by_class(found, images.classes)}"
    return Report(table, content, confusion_figure(found, images.classes))


def crops(size: int, crop: int) -> list[tuple[int, int]]:
    """Top rows and left columns of the crops of an image: the centre first, then two rings around it.

    The outer ring touches the corners and the middles of the edges, the inner one lies halfway to the corners. An image
    as large as the crop has one crop.

    >>> crops(48, 32)[:5], len(crops(48, 32)), crops(28, 28)
    ([(8, 8), (4, 4), (4, 12), (12, 4), (12, 12)], 13, [(0, 0)])
    """
    centre, half = (size - crop) // 2, (size - crop) // 4
    ring = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]
    steps = [(half * row, half * column) for row, column in ring if row and column]
    steps += [(2 * half * row, 2 * half * column) for row, column in ring]
    return [(centre, centre)] + [(centre + row, centre + column) for row, column in steps if half]


@torch.no_grad()
def by_crops(network: Network, images: Tensor, offsets: list[tuple[int, int]], *, progress: bool = False) -> Tensor:
    """The class with the highest mean probability over crops: uint8 [n, channels, height, width] to int64 [n]."""
    network.eval()
    size = network.config.crop_size
    found = []
    for batch in tqdm(images.split(BATCH), desc="crops", unit="batch", disable=not progress, leave=False):
        of_batch = [batch[:, :, row : row + size, column : column + size] for row, column in offsets]
        found.append(sum(network(crop).logits.softmax(1) for crop in of_batch).argmax(1))
    return torch.cat(found)


def confusion_figure(evaluation: Evaluation, classes: tuple[str, ...]) -> Figure:
    """The confusion matrix, each row in shares of its class."""
    shares = evaluation.confusion / evaluation.confusion.sum(1, keepdim=True).clamp_min(1)
    size = 2.5 + 0.6 * len(classes)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"error {evaluation.error:.2%} of {evaluation.images} images")
    for row, of_class in enumerate(evaluation.confusion.tolist()):
        for column, count in enumerate(of_class):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, label="share of the true class")
    return figure


def counts(evaluation: Evaluation, classes: tuple[str, ...]) -> dict[str, Any]:
    """An evaluation as JSON values."""
    return {
        "images": evaluation.images,
        "error": evaluation.error,
        "interval_95": list(evaluation.interval),
        "classes": list(classes),
        "confusion": evaluation.confusion.tolist(),
        "by_instance": [
            {"class": name, "instance": instance, "error": error}
            for (name, instance), error in evaluation.by_instance.items()
        ],
    }


def error_row(of: str, error: float, interval: tuple[float, float]) -> list[str]:
    """A row of a table: name, error, interval."""
    return [of, f"{error:.2%}", f"{interval[0]:.2%} to {interval[1]:.2%}"]


def by_class(evaluation: Evaluation, classes: tuple[str, ...]) -> str:
    """A table of errors by class, and by instance if a class has several."""
    rows = [["class", "images", "error"]]
    for label, name in enumerate(classes):
        row = evaluation.confusion[label]
        images = int(row.sum())
        rows.append([name, str(images), f"{1 - int(row[label]) / images:.2%}" if images else "–"])
    if len(evaluation.by_instance) <= len(classes):
        return columns(rows)  # one instance per class: the same rows again
    instances = [["class", "instance", "error"]]
    instances += [[name, str(instance), f"{error:.2%}"] for (name, instance), error in evaluation.by_instance.items()]
    return f"{columns(rows)}\n\n{columns(instances)}"
