"""The report of a suite: a table, JSON, and a plot or a page."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from matcaps.training.writing import write_atomically


class Report(NamedTuple):
    """The results of a suite.

    Attributes:
        table: Printed.
        content: Written as JSON.
        figure: Written as PNG, if there is one.
        page: Written as HTML, if there is one.
    """

    table: str
    content: dict[str, Any]
    figure: Figure | None = None
    page: str | None = None


def write(report: Report, folder: Path, name: str) -> list[Path]:
    """Write ``NAME.json``, ``NAME.png`` and ``NAME.html`` into a folder, each complete or not at all."""
    files = {"json": (json.dumps(report.content, indent=1) + "\n").encode()}
    if report.figure is not None:
        png = io.BytesIO()
        report.figure.savefig(png, format="png")
        files["png"] = png.getvalue()
    if report.page is not None:
        files["html"] = report.page.encode()
    paths = []
    for suffix, content in files.items():
        path = folder / f"{name}.{suffix}"
        write_atomically(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
        paths.append(path)
    return paths


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align rows of text in columns: the first to the left, all others to the right.

    >>> print(columns([["", "error"], ["airplane", "9 %"]]))
              error
    airplane    9 %
    """
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
