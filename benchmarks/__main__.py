"""``python -m benchmarks routing``: EM routing in its implementations, interleaved in one run."""

import io
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.picture import picture as drawn
from benchmarks.routing import Settings, measure
from benchmarks.table import markdown
from training.checkpoint import write_atomically


def main(
    name: Annotated[Literal["routing"], tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings(),  # noqa: B008
    json_: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
    picture: Path | None = None,
) -> None:
    """Measure, print a Markdown table, and write the figures as JSON and as a picture.

    Times (ms per image of whole networks, forward and training step, in turn), the ratio to the textbook, peak memory,
    largest errors, multiply-adds per second against the machine's, and how one layer's time grows. Some six minutes
    on two cores, most of them the textbook's.

    Args:
        name: what to measure
        json_: file for the figures
        picture: file for the picture, of any kind that matplotlib writes
    """
    report = measure(settings, command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]))
    print(markdown(report))
    if json_ is not None:
        content = json.dumps(asdict(report), indent=1, ensure_ascii=False)
        write_atomically(json_, lambda file: file.write(content.encode()))
    if picture is not None:
        form = picture.suffix.lstrip(".") or "png"
        image = io.BytesIO()
        drawn(report).savefig(image, format=form, dpi=150)
        write_atomically(picture, lambda file: file.write(image.getvalue()))


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks")
