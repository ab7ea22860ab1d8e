"""An evaluation for people: a table to print, a picture of the confusions, and JSON for programs."""

import io
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.checkpoint import write_atomically
from training.evaluate import Evaluation


def table(evaluation: Evaluation, classes: tuple[str, ...]) -> str:
    """The figures as text."""
    low, high = evaluation.interval
    lines = [
        f"{evaluation.images} images, error {evaluation.error:.2%} (95 % interval {low:.2%} to {high:.2%})",
        "",
        f"{'class':<12}{'images':>8}{'error':>9}",
    ]
    for label, name in enumerate(classes):
        row = evaluation.confusion[label]
        images = int(row.sum())
        error = f"{1 - int(row[label]) / images:.2%}" if images else "–"
        lines.append(f"{name:<12}{images:>8}{error:>9}")
    if evaluation.by_instance:
        lines += ["", f"{'class':<12}{'instance':>9}{'error':>9}"]
        for (name, instance), error_ in evaluation.by_instance.items():
            lines.append(f"{name:<12}{instance:>9}{error_:>9.2%}")
    return "\n".join(lines)


def as_json(evaluation: Evaluation, classes: tuple[str, ...]) -> dict[str, Any]:
    """The figures as JSON knows them."""
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


def confusion_picture(evaluation: Evaluation, classes: tuple[str, ...]) -> Figure:
    """The confusion matrix, each row as shares of its class."""
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


def write(evaluation: Evaluation, classes: tuple[str, ...], folder: Path) -> list[Path]:
    """Write ``evaluation.json`` and ``confusion.png`` into a folder."""
    text = json.dumps(as_json(evaluation, classes), indent=1) + "\n"
    picture = io.BytesIO()
    confusion_picture(evaluation, classes).savefig(picture, format="png")
    paths = [folder / "evaluation.json", folder / "confusion.png"]
    for path, content in zip(paths, (text.encode(), picture.getvalue()), strict=True):
        write_atomically(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
    return paths
