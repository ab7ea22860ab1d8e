"""The suite folds: the pooled error of runs that each held out another instance, by class and instance."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from matcaps.training.evaluation.metrics import Evaluation
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.runs import Fold


class Pooled(NamedTuple):
    """The errors of one recipe over all its runs.

    Attributes:
        error: Error over all held-out images, each classified by the run that held it out; the mean over seeds.
        standard_error: Standard error of that, from the spread of the instances; NaN for a single instance.
        by_instance: Error for each (class, instance), the mean over seeds.
        by_seed: Error for each seed.
    """

    error: float
    standard_error: float
    by_instance: dict[tuple[str, int], float]
    by_seed: dict[int, float]


def pool(runs: Mapping[Fold, Evaluation]) -> Pooled:
    """Pool the evaluations of a recipe's runs; each seed must have held out the same instances."""
    seeds, instances = sorted({seed for seed, _ in runs}), sorted({instance for _, instance in runs})
    errors = [[runs[Fold(seed, instance)].error for instance in instances] for seed in seeds]
    by_fold = [statistics.mean(of_instance) for of_instance in zip(*errors, strict=True)]
    keys = [key for instance in instances for key in runs[Fold(seeds[0], instance)].by_instance]
    images = [runs[Fold(seeds[0], instance)].images for instance in instances]
    return Pooled(
        statistics.fmean(by_fold, images),
        statistics.stdev(by_fold) / math.sqrt(len(by_fold)) if len(by_fold) > 1 else math.nan,
        {key: statistics.mean(runs[Fold(seed, key[1])].by_instance[key] for seed in seeds) for key in keys},
        {seed: statistics.fmean(of_seed, images) for seed, of_seed in zip(seeds, errors, strict=True)},
    )


def folds(found: Mapping[str, Mapping[Fold, Evaluation]], classes: tuple[str, ...]) -> Report:
    """A table of errors by class and instance for each recipe, and the ratio of the two recipes' errors.

    Args:
        found: Evaluations of each recipe's runs, by the recipe's name; all with the same held-out instances.
        classes: Names of the classes, in the order of the rows.
    """
    pooled = {name: pool(runs) for name, runs in found.items()}
    instances = sorted({instance for runs in found.values() for _, instance in runs})
    several = any(len(of.by_seed) > 1 for of in pooled.values())
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
        if several:
            tables[-1] += f"\n{_seeds(of)}"
    networks = {
        name: {
            "error": of.error,
            "standard_error": None if math.isnan(of.standard_error) else of.standard_error,
            "by_seed": [{"seed": seed, "error": error} for seed, error in of.by_seed.items()],
            "seed_deviation": statistics.stdev(of.by_seed.values()) if len(of.by_seed) > 1 else None,
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
    return Report("\n\n".join(tables), content, _figure(pooled, classes, instances))


def _seeds(of: Pooled) -> str:
    """A note under the table: how many seeds the errors are means of, and how much the seeds differ."""
    if len(of.by_seed) == 1:
        return f"seed {min(of.by_seed)} only; ± is the standard error over instances"
    errors = ", ".join(f"{error:.1%} (seed {seed})" for seed, error in of.by_seed.items())
    deviation = 100 * statistics.stdev(of.by_seed.values())
    return (
        f"means of {len(of.by_seed)} seeds: {errors}, with a standard deviation of {deviation:.1f} points; "
        "± is the standard error over instances"
    )


def _figure(pooled: Mapping[str, Pooled], classes: tuple[str, ...], instances: Sequence[int]) -> Figure:
    """Heat maps of the errors by class and instance, one panel per recipe."""
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
