"""The suite viewpoint: errors at elevations or lightings that training never saw (paper, section 6.1)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.predict import predict
from matcaps.training.evaluation.report import Report, columns


class Errors(NamedTuple):
    """The errors of a network by elevation or lighting.

    Attributes:
        by_value: Error at each value.
        familiar: Error over the values of the training.
        novel: Error over all others.
    """

    by_value: dict[int, float]
    familiar: float
    novel: float


def viewpoint(
    network: Network,
    images: ImageSet,
    column: str,
    familiar: tuple[int, ...],
    baselines: Mapping[str, Network],
    *,
    name: str = "capsules",
    progress: bool = True,
) -> Report:
    """Errors at familiar and novel values of a column, beside the baseline with the closest familiar error.

    Args:
        network: Trained on the familiar values only.
        images: Images at all values, of instances that no network was trained on.
        column: elevation or lighting.
        familiar: The values of the training.
        baselines: Checkpoints of a network that was trained on the same images, by name; may be empty.
        name: Name of the network in the table.
        progress: Whether to show progress bars.

    Raises:
        ValueError: The data set has no such column, or all values are familiar.
    """
    own = errors(network, images, column, familiar, progress=progress)
    found = {name: own}
    candidates = {
        of: errors(baseline, images, column, familiar, progress=progress) for of, baseline in baselines.items()
    }
    matched = None
    if candidates:
        # A lower familiar error comes with a lower novel error, so the familiar errors must match.
        matched = min(candidates, key=lambda of: abs(candidates[of].familiar - own.familiar))
        found["CNN"] = candidates[matched]
    table = f"errors on {len(images)} images of held-out objects\n\n{table_of(found, column, familiar)}"
    if matched is not None:
        table += f"\n\nthe CNN is its checkpoint {matched}, which has the closest familiar error of {len(candidates)}"
    content = {
        "column": column,
        "familiar": list(familiar),
        "images": len(images),
        "networks": {called: of._asdict() for called, of in found.items()},
        "matched": matched,
    }
    return Report(table, content, _figure(found, column, familiar))


def errors(
    network: Network, images: ImageSet, column: str, familiar: tuple[int, ...], *, progress: bool = False
) -> Errors:
    """A network's errors by the values of a column.

    Raises:
        ValueError: The data set has no such column, or all values are familiar.
    """
    _require_novel_values(images, column, familiar)
    return by_value(predict(network, images.images, progress=progress), images, column, familiar)


def by_value(predicted: Tensor, images: ImageSet, column: str, familiar: tuple[int, ...]) -> Errors:
    """The errors of predicted classes, int64 [n], by the values of a column."""
    at = images.info[column]
    wrong = (predicted != images.labels).double()

    def error_of(rows: Tensor) -> float:
        return float(wrong[rows].mean())

    known = torch.isin(at, torch.tensor(familiar))
    return Errors({value: error_of(at == value) for value in at.unique().tolist()}, error_of(known), error_of(~known))


def table_of(found: Mapping[str, Errors], column: str, familiar: tuple[int, ...]) -> str:
    """A table of errors by the values of a column, one network per column of the table."""
    rows = [[column, "", *found]]
    for value in next(iter(found.values())).by_value:
        kind_of = "familiar" if value in familiar else "novel"
        rows.append([str(value), kind_of, *(f"{of.by_value[value]:.1%}" for of in found.values())])
    rows.append(["all", "familiar", *(f"{of.familiar:.1%}" for of in found.values())])
    rows.append(["all", "novel", *(f"{of.novel:.1%}" for of in found.values())])
    return columns(rows)


def errors_by_viewpoint(
    predicted: Tensor, images: ImageSet, familiar: Mapping[str, Sequence[int] | None]
) -> dict[str, tuple[Errors, str]]:
    """The errors and their table, for each column of which a network was trained on some values only.

    Args:
        predicted: Its predicted classes, int64 [n].
        images: The images.
        familiar: The values that it was trained on, by column; empty or None for all.
    """
    found = {}
    for column, values in familiar.items():
        known, there = set(values or ()), set(images.info[column].tolist()) if column in images.info else set()
        if known & there and there - known:
            errors_ = by_value(predicted, images, column, tuple(sorted(known)))
            found[column] = errors_, table_of({"error": errors_}, column, tuple(sorted(known)))
    return found


def _require_novel_values(images: ImageSet, column: str, familiar: tuple[int, ...]) -> None:
    if column not in images.info:
        raise ValueError(f"{images.name} has no column {column}; the suite viewpoint needs smallNORB")
    values = images.info[column].unique().tolist()
    if not familiar or set(values) <= set(familiar):
        raise ValueError(
            f"the run was trained on every {column}, so none is novel; "
            f"train with --{column}s and some of {', '.join(map(str, values))}"
        )


def _figure(found: Mapping[str, Errors], column: str, familiar: tuple[int, ...]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, of in found.items():
        axes.plot(list(of.by_value), [100 * error for error in of.by_value.values()], marker="o", label=name)
    for value in familiar:
        axes.axvspan(value - 0.5, value + 0.5, color="0.9", zorder=0, linewidth=0)
    axes.set_xlabel(f"{column} (grey: trained on)")
    axes.set_ylabel("error, %")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure
