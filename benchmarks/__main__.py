"""``python -m benchmarks {routing,training,serving}``: what is compared is interleaved in one run."""

import io
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro
from matplotlib.figure import Figure

import benchmarks.routing.picture
import benchmarks.routing.report
import benchmarks.routing.table
import benchmarks.serving.picture
import benchmarks.serving.report
import benchmarks.serving.table
import benchmarks.training.report
from benchmarks.serving.generator import MissingGeneratorError
from benchmarks.serving.process import StartError
from matcaps.training.engine.checkpoint import write_atomically

JsonFile = Annotated[Path | None, tyro.conf.arg(name="json")]


def routing(
    settings: Annotated[
        benchmarks.routing.report.Settings, tyro.conf.arg(name="")
    ] = benchmarks.routing.report.Settings(),  # noqa: B008
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """EM routing in its implementations.

    Times (ms per image of whole networks, forward and training step, in turn), the ratio to the textbook, peak memory,
    largest errors, multiply-adds per second against the machine's, and how one layer's time grows. Some six minutes
    on two cores, most of them the textbook's.

    Args:
        json_: file for the figures
        picture: file for the picture, of any kind that matplotlib writes
    """
    report = benchmarks.routing.report.measure(settings, command=_command())
    print(benchmarks.routing.table.markdown(report))
    _write(asdict(report), benchmarks.routing.picture.picture(report) if picture else None, json_, picture)


def training(
    settings: Annotated[
        benchmarks.training.report.Settings, tyro.conf.arg(name="")
    ] = benchmarks.training.report.Settings(),  # noqa: B008
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """Whole training steps of the recipes, in mixed precision and in float32, beside the paper's CNN.

    Some two minutes on two cores.

    Args:
        json_: file for the figures
        picture: file for the picture, of any kind that matplotlib writes
    """
    report = benchmarks.training.report.measure(settings, command=_command())
    print(benchmarks.training.report.markdown(report))
    _write(asdict(report), benchmarks.training.report.picture(report) if picture else None, json_, picture)


def serving(
    settings: Annotated[
        benchmarks.serving.report.Settings, tyro.conf.arg(name="")
    ] = benchmarks.serving.report.Settings(),  # noqa: B008
    json_: JsonFile = None,
    picture: Path | None = None,
) -> None:
    """The service beside a bare handler and other engines.

    Requests a second and latencies, images a second by binary tensors, and the service against its network alone.
    Needs wrk, and the peers that scripts/make-peers installs; one that is missing is named, and the rest measured.
    Some five minutes.

    Args:
        json_: file for the figures
        picture: file for the picture, of any kind that matplotlib writes
    """
    try:
        report = benchmarks.serving.report.measure(settings, command=_command())
    except (MissingGeneratorError, StartError) as error:
        sys.exit(f"python -m benchmarks serving: {error}")
    print(benchmarks.serving.table.markdown(report))
    _write(asdict(report), benchmarks.serving.picture.picture(report) if picture else None, json_, picture)


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _write(figures: dict[str, Any], drawn: Figure | None, json_: Path | None, picture: Path | None) -> None:
    if json_ is not None:
        content = json.dumps(figures, indent=1, ensure_ascii=False, default=str)
        write_atomically(json_, lambda file: file.write(content.encode()))
    if drawn is not None and picture is not None:
        image = io.BytesIO()
        drawn.savefig(image, format=picture.suffix.lstrip(".") or "png", dpi=150)
        write_atomically(picture, lambda file: file.write(image.getvalue()))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"routing": routing, "training": training, "serving": serving}, prog="python -m benchmarks"
    )
