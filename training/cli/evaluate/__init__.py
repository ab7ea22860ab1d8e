"""``matcaps evaluate [SUITE] TARGET [options]``: evaluate a run, or a released artefact; one file per suite.

The suite is ``standard`` if none is named. A target that has the name of a suite is written as ``./NAME``.
"""

from collections.abc import Callable

from matcaps.training.cli import command
from matcaps.training.cli.evaluate.adversarial import adversarial_suite
from matcaps.training.cli.evaluate.calibration import calibration_suite
from matcaps.training.cli.evaluate.folds import folds_suite
from matcaps.training.cli.evaluate.mistakes import mistakes_suite
from matcaps.training.cli.evaluate.poses import poses_suite
from matcaps.training.cli.evaluate.routing import routing_suite
from matcaps.training.cli.evaluate.standard import standard_suite
from matcaps.training.cli.evaluate.viewpoint import viewpoint_suite

SUITES: dict[str, Callable[..., None]] = {
    "standard": standard_suite,
    "calibration": calibration_suite,
    "mistakes": mistakes_suite,
    "folds": folds_suite,
    "viewpoint": viewpoint_suite,
    "adversarial": adversarial_suite,
    "poses": poses_suite,
    "routing": routing_suite,
}


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    if arguments[:1] not in ([name] for name in (*SUITES, "-h", "--help")):
        arguments = ["standard", *arguments]
    description = (
        "Evaluate a run or a released artefact: matcaps evaluate [SUITE] TARGET. The default suite is standard."
    )
    return command.run("evaluate", SUITES, arguments, description=description)
