"""How a network errs where it was never trained to look from (paper, section 6.1): elevations or lightings."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.checkpoint import Network
from training.data import ImageSet
from training.evaluate import predict
from training.suites.report import Report, columns


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
    progress: bool = True,
) -> Report:
    """Errors at familiar and novel values of a column, beside the baseline that errs most alike at the familiar ones.

    Args:
        network: Trained on the familiar values alone.
        images: Of instances that no network was trained on, at all values.
        column: elevation or lighting.
        familiar: The values that were trained on.
        baselines: Checkpoints of a network that was trained on the same images, by name; there may be none.

    Raises:
        ValueError: The images know no such column, or all values are familiar.
    """
    found = {"capsules": errors(network, images, column, familiar, progress=progress)}
    candidates = {
        name: errors(baseline, images, column, familiar, progress=progress) for name, baseline in baselines.items()
    }
    matched = None
    if candidates:
        # Whoever errs less where it was trained errs less elsewhere too: only equals can be compared.
        matched = min(candidates, key=lambda name: abs(candidates[name].familiar - found["capsules"].familiar))
        found["CNN"] = candidates[matched]
    values = found["capsules"].by_value
    rows = [[column, "", *found]]
    rows += [
        [
            str(value),
            "familiar" if value in familiar else "novel",
            *(f"{of.by_value[value]:.1%}" for of in found.values()),
        ]
        for value in values
    ]
    rows.append(["all", "familiar", *(f"{of.familiar:.1%}" for of in found.values())])
    rows.append(["all", "novel", *(f"{of.novel:.1%}" for of in found.values())])
    table = f"errors on {len(images)} images of objects never trained on\n\n{columns(rows)}"
    if matched is not None:
        table += f"\n\nthe CNN is its checkpoint {matched}, whose familiar error comes closest of {len(candidates)}"
    content = {
        "column": column,
        "familiar": list(familiar),
        "images": len(images),
        "networks": {name: of._asdict() for name, of in found.items()},
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
