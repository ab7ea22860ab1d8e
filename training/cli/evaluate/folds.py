"""``matcaps evaluate folds TARGET``: the runs of ``matcaps folds``, pooled by toy."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from matcaps.training.cli.evaluate.publish import publish
from matcaps.training.engine.checkpoint import kind
from matcaps.training.evaluation.metrics import evaluate_toys
from matcaps.training.evaluation.runs import open_folds
from matcaps.training.evaluation.suites.folds import folds


def folds_suite(
    target: Annotated[Positional[Path], arg(metavar="TARGET")], baseline: Path | None = None, root: Path | None = None
) -> None:
    """Error and log-loss by toy of smallNORB, from the runs that matcaps folds trained; compares two recipes.

    Args:
        target: folder that holds the folders of the runs
        baseline: folder of the runs of another recipe, to compare with
        root: folder that holds the data sets; by default that of each run's training
    """
    if baseline is not None and baseline.resolve() == target.resolve():
        raise ValueError(f"the baseline must be another folder, got {target} twice")
    opened = [open_folds(folder, root) for folder in ([target] if baseline is None else [target, baseline])]
    kinds = [kind(next(iter(runs.values())).network) for runs in opened]
    names = kinds if len(set(kinds)) == len(kinds) else [str(folder) for folder in (target, baseline)]
    runs_of = dict(zip(names, opened, strict=True))
    ways = {name: sorted({fold.instances for fold in runs}) for name, runs in runs_of.items()}
    if len(set(map(tuple, ways.values()))) > 1:
        raise ValueError(f"the runs must hold out the same instances, got {ways}")
    evaluations = {
        name: {fold: evaluate_toys(run.network, run.held_out(), progress=True) for fold, run in runs.items()}
        for name, runs in runs_of.items()
    }
    classes = next(iter(next(iter(runs_of.values())).values())).config.network.classes
    publish(folds(evaluations, classes), target, "folds")
