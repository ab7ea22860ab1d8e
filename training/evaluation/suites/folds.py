"""The suite folds: error and log-loss by toy over the runs of a recipe, and beside another recipe."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from matcaps.training.evaluation.metrics import Toy, ToyScore
from matcaps.training.evaluation.pooling import (
    Estimate,
    Measure,
    Scores,
    difference,
    mean,
    over_seeds,
    pool,
    ratio,
    verdict,
)
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.runs import Fold

MEASURES: tuple[tuple[Measure, str], ...] = (("error", "error"), ("log_loss", "log-loss"))
BySeed = Mapping[int, dict[Toy, ToyScore]]


def folds(found: Mapping[str, Mapping[Fold, Scores]], classes: tuple[str, ...]) -> Report:
    """Tables of error and log-loss by class and instance for each recipe, and the comparison of two recipes.

    Args:
        found: Scores of each recipe's runs, by the recipe's name; all with the same held-out instances.
        classes: Names of the classes, in the order of the rows.

    Raises:
        ValueError: The two recipes have no seed in common, or were evaluated on different toys.
    """
    pooled = {name: pool(runs) for name, runs in found.items()}
    tables = []
    for name, by_seed in pooled.items():
        scores = over_seeds(by_seed)
        tables += [_table(f"{name}, {words}", scores, classes, measure) for measure, words in MEASURES]
        tables[-1] += f"\n{_note(by_seed)}"
    content: dict[str, Any] = {"networks": {name: _content(by_seed) for name, by_seed in pooled.items()}}
    if len(pooled) == 2:
        table, content["comparison"] = _compare(pooled)
        tables.append(table)
    return Report("\n\n".join(tables), content, _figure(pooled, classes))


def _table(title: str, scores: Scores, classes: tuple[str, ...], measure: Measure) -> str:
    """A table of one measure by class and instance."""
    instances = sorted({instance for _, instance in scores})
    rows = [[title, *(f"instance {instance}" for instance in instances), "all"]]
    for names in (*((name,) for name in classes), classes):
        of_row = {toy: score for toy, score in scores.items() if toy[0] in names}
        cells = [{toy: score for toy, score in of_row.items() if toy[1] == instance} for instance in instances]
        values = [_value(mean(of, measure).value, measure) if of else "–" for of in (*cells, of_row)]
        rows.append([names[0], *values])
    rows[-1][0], rows[-1][-1] = "all", _estimate(mean(scores, measure), measure)
    return columns(rows)


def _value(value: float, measure: Measure) -> str:
    return f"{value:.1%}" if measure == "error" else f"{value:.3f}"


def _estimate(estimate: Estimate, measure: Measure) -> str:
    value, spread = estimate
    if math.isnan(spread):
        return _value(value, measure)
    return f"{100 * value:.1f} ± {100 * spread:.1f} %" if measure == "error" else f"{value:.3f} ± {spread:.3f}"


def _note(by_seed: BySeed) -> str:
    """The means of each seed, and how much they differ."""
    errors = {seed: mean(scores, "error").value for seed, scores in by_seed.items()}
    means = "; ".join(
        f"seed {seed}: {errors[seed]:.1%}, log-loss {mean(scores, 'log_loss').value:.3f}"
        for seed, scores in by_seed.items()
    )
    deviation = ""
    if len(by_seed) > 1:
        deviation = f" (standard deviation of the errors {100 * statistics.stdev(errors.values()):.1f} points)"
    return f"{means}{deviation}; ± is the standard error over toys"


def _compare(pooled: Mapping[str, BySeed]) -> tuple[str, dict[str, Any]]:
    """Difference and ratio of two recipes, paired by toy, for each seed that both have; and the verdict."""
    (first, own), (second, other) = pooled.items()
    seeds = [seed for seed in own if seed in other]
    if not seeds:
        raise ValueError(f"two recipes are compared seed by seed, but {first} has seeds {[*own]}, {second} {[*other]}")
    pairs: dict[str, tuple[Scores, Scores]] = {f"seed {seed}": (own[seed], other[seed]) for seed in seeds}
    if len(seeds) > 1:
        pairs["all"] = (
            over_seeds({seed: own[seed] for seed in seeds}),
            over_seeds({seed: other[seed] for seed in seeds}),
        )
    rows = [[f"{first} against {second}", *pairs]]
    by_seed: list[dict[str, Any]] = [{"seed": seed} for seed in seeds]
    for measure, words in MEASURES:
        differences = [difference(*pair, measure) for pair in pairs.values()]
        ratios = [ratio(*pair, measure) for pair in pairs.values()]
        scale, digits, unit = (100.0, 1, ", points") if measure == "error" else (1.0, 3, "")
        rows.append([f"{words}, difference{unit}", *(_signed(found, scale, digits) for found in differences)])
        rows.append([f"{words}, ratio", *(f"{value:.3f} ± {spread:.3f}" for value, spread in ratios)])
        for of_seed, its_difference, its_ratio in zip(by_seed, differences, ratios, strict=False):
            of_seed[measure] = {"difference": _as_json(its_difference), "ratio": _as_json(its_ratio)}
    found = verdict({seed: 1.0 - ratio(own[seed], other[seed], "log_loss").value for seed in seeds})
    table = f"{columns(rows)}\npaired by toy; ± is the standard error over toys\n\n{first} is {found}"
    return table, {"of": first, "to": second, "by_seed": by_seed, "verdict": found}


def _signed(estimate: Estimate, scale: float, digits: int) -> str:
    return f"{scale * estimate.value:+.{digits}f} ± {scale * estimate.standard_error:.{digits}f}"


def _content(by_seed: BySeed) -> dict[str, Any]:
    """The scores of a recipe as JSON values, over all seeds and by seed."""
    errors = [mean(scores, "error").value for scores in by_seed.values()]
    return {
        **_scores(over_seeds(by_seed)),
        "seed_deviation": statistics.stdev(errors) if len(errors) > 1 else None,
        "by_seed": [{"seed": seed, **_scores(scores)} for seed, scores in by_seed.items()],
    }


def _scores(scores: Scores) -> dict[str, Any]:
    error, log_loss = _as_json(mean(scores, "error")), _as_json(mean(scores, "log_loss"))
    return {
        "error": error["value"],
        "standard_error": error["standard_error"],
        "log_loss": log_loss["value"],
        "log_loss_standard_error": log_loss["standard_error"],
        "by_instance": [
            {"class": name, "instance": instance, **score._asdict()}
            for (name, instance), score in sorted(scores.items())
        ],
    }


def _as_json(estimate: Estimate) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in estimate._asdict().items()}


def _figure(pooled: Mapping[str, BySeed], classes: Sequence[str]) -> Figure:
    """Heat maps of the errors by class and instance, one panel per recipe."""
    figure = Figure(figsize=(1.5 + 4.0 * len(pooled), 0.8 + 0.5 * len(classes)), layout="constrained")
    panels = figure.subplots(1, len(pooled), squeeze=False)[0]
    shades: AxesImage
    for axes, (name, by_seed) in zip(panels, pooled.items(), strict=True):
        scores = over_seeds(by_seed)
        instances = sorted({instance for _, instance in scores})
        errors = torch.tensor(
            [[scores[toy].error if (toy := (of, at)) in scores else math.nan for at in instances] for of in classes]
        )
        shades = axes.imshow(errors.numpy(), cmap="Reds", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(instances)), [str(instance) for instance in instances])
        axes.set_yticks(range(len(classes)), classes)
        axes.set_xlabel("instance held out")
        axes.set_title(f"{name}: {mean(scores, 'error').value:.1%}")
        for row, of_class in enumerate(errors.tolist()):
            for column, error in enumerate(of_class):
                colour = "white" if error > 0.5 else "black"
                axes.text(column, row, f"{100 * error:.0f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(shades, ax=panels, label="error")
    return figure
