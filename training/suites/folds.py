"""What all instances say together: runs that each held another one out, pooled, by class and by instance."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from training.evaluate import Evaluation
from training.suites.report import Report, columns


class Pooled(NamedTuple):
    """The errors of one recipe over all its runs.

    Attributes:
        error: Share of all held-out images that the run which held them out classifies wrongly.
        standard_error: Of that, from how much the runs differ; not a number for a single run.
        by_instance: Error for each (class, instance).
    """

    error: float
    standard_error: float
    by_instance: dict[tuple[str, int], float]


def pool(evaluations: Sequence[Evaluation]) -> Pooled:
    """The evaluations of runs that held out different instances, as one.

    Raises:
        ValueError: There are none, they know no instances, or two of them judge the same one.
    """
    if not evaluations or not all(evaluation.by_instance for evaluation in evaluations):
        raise ValueError("the runs must each hold out an instance of smallNORB")
    by_instance: dict[tuple[str, int], float] = {}
    for evaluation in evaluations:
        if again := by_instance.keys() & evaluation.by_instance.keys():
            raise ValueError(f"more than one run held out instance {min(instance for _, instance in again)}")
        by_instance |= evaluation.by_instance
    images = sum(evaluation.images for evaluation in evaluations)
    error = sum(evaluation.error * evaluation.images for evaluation in evaluations) / images
    errors = [evaluation.error for evaluation in evaluations]
    standard_error = statistics.stdev(errors) / math.sqrt(len(errors)) if len(errors) > 1 else math.nan
    return Pooled(error, standard_error, by_instance)


def folds(found: Mapping[str, Sequence[Evaluation]], classes: tuple[str, ...]) -> Report:
    """A table of class by instance for each recipe, and the ratio of the first one's error to the second's.

    Args:
        found: Evaluations of each recipe's runs, by the recipe's name.
        classes: In the order of the rows.

    Raises:
        ValueError: As ``pool``; or the recipes were not judged by the same instances.
    """
    pooled = {name: pool(evaluations) for name, evaluations in found.items()}
    if len({frozenset(of.by_instance) for of in pooled.values()}) > 1:
        raise ValueError("the baseline's runs held out other instances: only equal folds can be compared")
    instances = sorted({instance for of in pooled.values() for _, instance in of.by_instance})
    tables = []
    for name, of in pooled.items():
        rows = [[name, *(f"instance {instance}" for instance in instances), "all"]]
        for class_ in classes:
            errors = [of.by_instance[class_, instance] for instance in instances]
            rows.append([class_, *(f"{error:.1%}" for error in errors), f"{statistics.mean(errors):.1%}"])
        by_fold = [statistics.mean(of.by_instance[class_, instance] for class_ in classes) for instance in instances]
        within = "" if math.isnan(of.standard_error) else f" ± {100 * of.standard_error:.1f}"
        rows.append(["all", *(f"{error:.1%}" for error in by_fold), f"{100 * of.error:.1f}{within} %"])
        tables.append(columns(rows))
    networks = {
        name: {
            "error": of.error,
            "standard_error": None if math.isnan(of.standard_error) else of.standard_error,
            "by_instance": [
                {"class": class_, "instance": instance, "error": error}
                for (class_, instance), error in sorted(of.by_instance.items())
            ],
        }
        for name, of in pooled.items()
    }
    content: dict[str, Any] = {"networks": networks}
    if len(pooled) == 2:
        (first, own), (second, other) = pooled.items()
        if other.error:
            content["ratio"] = {"of": first, "to": second, "value": own.error / other.error}
            tables.append(f"the error of {first} is {own.error / other.error:.2f} times that of {second}")
    return Report("\n\n".join(tables), content, _picture(pooled, classes, instances))


def _picture(pooled: Mapping[str, Pooled], classes: tuple[str, ...], instances: Sequence[int]) -> Figure:
    """Errors as shades, class by instance, a panel for each recipe."""
    figure = Figure(figsize=(1.5 + 4.0 * len(pooled), 0.8 + 0.5 * len(classes)), layout="constrained")
    panels = figure.subplots(1, len(pooled), squeeze=False)[0]
    shades: AxesImage
    for axes, (name, of) in zip(panels, pooled.items(), strict=True):
        errors = torch.tensor([[of.by_instance[class_, instance] for instance in instances] for class_ in classes])
        shades = axes.imshow(errors.numpy(), cmap="Reds", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(instances)), [str(instance) for instance in instances])
        axes.set_yticks(range(len(classes)), classes)
        axes.set_xlabel("instance held out")
        axes.set_title(f"{name}: {of.error:.1%}")
        for row, of_class in enumerate(errors.tolist()):
            for column, error in enumerate(of_class):
                colour = "white" if error > 0.5 else "black"
                axes.text(column, row, f"{100 * error:.0f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(shades, ax=panels, label="error")
    return figure
