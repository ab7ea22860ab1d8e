"""How a network errs where it was never trained to look from (paper, section 6.1): elevations or lightings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.evaluation.metrics import predict
from matcaps.training.evaluation.report import Report, columns


class Errors(NamedTuple):
    """Shares of images that a network classifies wrongly.

    Attributes:
        by_value: At each elevation or lighting.
        familiar: Over those of the training.
        novel: Over all others.
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
    """Errors at familiar and novel values of a column, beside the baseline that errs most alike at the familiar ones.

    Args:
        network: Trained on the familiar values alone.
        images: Of instances that no network was trained on, at all values.
        column: elevation or lighting.
        familiar: The values that were trained on.
        baselines: Checkpoints of a network that was trained on the same images, by name; there may be none.
        name: What the network is called.
        progress: Whether bars show how far it is.

    Raises:
        ValueError: The images know no such column, or all values are familiar.
    """
    own = errors(network, images, column, familiar, progress=progress)
    found = {name: own}
    candidates = {
        of: errors(baseline, images, column, familiar, progress=progress) for of, baseline in baselines.items()
    }
    matched = None
    if candidates:
        # Whoever errs less where it was trained errs less elsewhere too: only equals can be compared.
        matched = min(candidates, key=lambda of: abs(candidates[of].familiar - own.familiar))
        found["CNN"] = candidates[matched]
    table = f"errors on {len(images)} images of objects never trained on\n\n{table_of(found, column, familiar)}"
    if matched is not None:
        table += f"\n\nthe CNN is its checkpoint {matched}, whose familiar error comes closest of {len(candidates)}"
    content = {
        "column": column,
        "familiar": list(familiar),
        "images": len(images),
        "networks": {called: of._asdict() for called, of in found.items()},
        "matched": matched,
    }
    return Report(table, content, _picture(found, column, familiar))


def errors(
    network: Network, images: ImageSet, column: str, familiar: tuple[int, ...], *, progress: bool = False
) -> Errors:
    """A network's errors by the values of a column.

    Raises:
        ValueError: The images know no such column, or all values are familiar.
    """
    _refuse_all_familiar(images, column, familiar)
    return by_value(predict(network, images.images, progress=progress), images, column, familiar)


def by_value(predicted: Tensor, images: ImageSet, column: str, familiar: tuple[int, ...]) -> Errors:
    """The errors of the classes that a network saw, int64 [n], by the values of a column."""
    at = images.info[column]
    wrong = (predicted != images.labels).double()

    def share(of: Tensor) -> float:
        return float(wrong[of].mean())

    known = torch.isin(at, torch.tensor(familiar))
    return Errors({value: share(at == value) for value in at.unique().tolist()}, share(known), share(~known))


def table_of(found: Mapping[str, Errors], column: str, familiar: tuple[int, ...]) -> str:
    """Errors by the values of a column, a network a column."""
    rows = [[column, "", *found]]
    for value in next(iter(found.values())).by_value:
        kind_of = "familiar" if value in familiar else "novel"
        rows.append([str(value), kind_of, *(f"{of.by_value[value]:.1%}" for of in found.values())])
    rows.append(["all", "familiar", *(f"{of.familiar:.1%}" for of in found.values())])
    rows.append(["all", "novel", *(f"{of.novel:.1%}" for of in found.values())])
    return columns(rows)


def beside_familiar(
    predicted: Tensor, images: ImageSet, familiar: Mapping[str, Sequence[int] | None]
) -> dict[str, tuple[Errors, str]]:
    """The errors, and a table of them, by each column of which a network was trained on some values alone.

    Args:
        predicted: The classes that it saw, int64 [n].
        images: In which it saw them.
        familiar: The values that it was trained on, by column; none where it was on all.
    """
    found = {}
    for column, values in familiar.items():
        known, there = set(values or ()), set(images.info[column].tolist()) if column in images.info else set()
        if known & there and there - known:
            errors_ = by_value(predicted, images, column, tuple(sorted(known)))
            found[column] = errors_, table_of({"error": errors_}, column, tuple(sorted(known)))
    return found


def _refuse_all_familiar(images: ImageSet, column: str, familiar: tuple[int, ...]) -> None:
    if column not in images.info:
        raise ValueError(f"{images.name} knows no {column}; the suite is for smallNORB")
    values = images.info[column].unique().tolist()
    if not familiar or set(values) <= set(familiar):
        raise ValueError(
            f"the run was trained on every {column}, so that none is novel; "
            f"train with --{column}s and a few of {', '.join(map(str, values))}"
        )


def _picture(found: Mapping[str, Errors], column: str, familiar: tuple[int, ...]) -> Figure:
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
