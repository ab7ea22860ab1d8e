"""The report of ``python -m benchmarks serving`` as a plot."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.serving.report import Report
from benchmarks.tables import short


def picture(report: Report) -> Figure:
    """A panel for each number of callers, and one for the service beside its network."""
    numbers = report.settings.connections
    figure = Figure(figsize=(4.2 * (len(numbers) + 1), 3.6), layout="constrained")
    panels = figure.subplots(1, len(numbers) + 1, squeeze=False)[0]
    for axes, number in zip(panels, numbers, strict=False):
        _servers(axes, report, number)
    _parts(panels[-1], report)
    figure.suptitle(str(report.machine), fontsize=6)
    return figure


def _servers(axes: Axes, report: Report, connections: int) -> None:
    found = [one for one in report.png_requests if one.connections == connections]
    middles = [one.per_s.median for one in found]
    down = [one.per_s.median - one.per_s.lowest for one in found]
    up = [one.per_s.highest - one.per_s.median for one in found]
    axes.bar(range(len(found)), middles, yerr=[down, up], color="tab:blue", error_kw={"elinewidth": 0.7})
    for place, one in enumerate(found):
        label = f"{short(one.per_s.median)}\np99 {short(one.p99_ms)} ms"
        axes.annotate(label, (place, 0), (0, 3), textcoords="offset points", ha="center", fontsize=7, color="white")
    axes.set_xticks(range(len(found)), [one.server for one in found], fontsize=7)
    axes.set_ylabel("requests per second")
    axes.set_title(f"one PNG per request, {connections} caller{'s' if connections > 1 else ''}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _parts(axes: Axes, report: Report) -> None:
    parts = [100 * one.part for one in report.against_network]
    axes.barh(range(len(parts)), parts, color="tab:orange")
    for place, one in enumerate(report.against_network):
        text = f"{one.network}, {one.images} per request: {parts[place]:.0f} %"
        axes.annotate(text, (0, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.axvline(100, color="black", linewidth=0.7)
    axes.set_yticks([])
    axes.set_xlabel("% of the images per second of session.run alone")
    axes.set_title("through HTTP, 32 callers", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
