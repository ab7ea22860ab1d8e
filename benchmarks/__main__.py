"""``python -m benchmarks {routing,training,serving}``: measures side by side, interleaved in one run."""

import io
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro
from matplotlib.figure import Figure

from benchmarks.harness.process import StartError
from benchmarks.routing import plot as routing_plot
from benchmarks.routing import report as routing_report
from benchmarks.routing import table as routing_table
from benchmarks.serving import plot as serving_plot
from benchmarks.serving import report as serving_report
from benchmarks.serving import table as serving_table
from benchmarks.serving.wrk import MissingWrkError
from benchmarks.training import report as training_report
from matcaps.training.writing import write_atomically

JsonFile = Annotated[Path | None, tyro.conf.arg(name="json")]
ROUTING, TRAINING, SERVING = routing_report.Settings(), training_report.Settings(), serving_report.Settings()
Flat = tyro.conf.arg(name="")  # options without the name of the parameter in front


def routing(
    settings: Annotated[routing_report.Settings, Flat] = ROUTING,
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """Compare the implementations of EM routing.

    Time per image of whole networks (forward and training step), the ratio to the textbook, peak memory, largest
    errors, multiply-adds per second beside the machine's, and how one layer's time grows. Takes about six minutes on
    two cores, most of it for the textbook.

    Args:
        json_: file for the figures
        picture: file for the plot, in any format of matplotlib
    """
    report = routing_report.measure(settings, command=_command())
    print(routing_table.markdown(report))
    _write(asdict(report), routing_plot.picture(report) if picture else None, json_, picture)


def training(
    settings: Annotated[training_report.Settings, Flat] = TRAINING,
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """Compare whole training steps in mixed precision, in float32, and of the paper's CNN.

    Takes about two minutes on two cores.

    Args:
        json_: file for the figures
        picture: file for the plot, in any format of matplotlib
    """
    report = training_report.measure(settings, command=_command())
    print(training_report.markdown(report))
    _write(asdict(report), training_report.picture(report) if picture else None, json_, picture)


def serving(
    settings: Annotated[serving_report.Settings, Flat] = SERVING,
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """Compare the service with a bare handler, with other servers, and with its network alone.

    Requests per second and latency, and images per second as binary tensors. Needs wrk, and the servers that
    scripts/make-peers installs; one that is not installed is left out and named. Takes about five minutes.

    Args:
        json_: file for the figures
        picture: file for the plot, in any format of matplotlib
    """
    try:
        report = serving_report.measure(settings, command=_command())
    except (MissingWrkError, StartError) as error:
        sys.exit(f"python -m benchmarks serving: {error}")
    print(serving_table.markdown(report))
    _write(asdict(report), serving_plot.picture(report) if picture else None, json_, picture)


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _write(figures: dict[str, Any], plot: Figure | None, json_: Path | None, picture: Path | None) -> None:
    if json_ is not None:
        content = json.dumps(figures, indent=1, ensure_ascii=False, default=str)
        write_atomically(json_, lambda file: file.write(content.encode()))
    if plot is not None and picture is not None:
        image = io.BytesIO()
        plot.savefig(image, format=picture.suffix.lstrip(".") or "png", dpi=150)
        write_atomically(picture, lambda file: file.write(image.getvalue()))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"routing": routing, "training": training, "serving": serving}, prog="python -m benchmarks"
    )
