"""The report of ``python -m benchmarks routing`` as a plot."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.routing.growth import AXES, Axis
from benchmarks.routing.implementations import IMPLEMENTATIONS, STEPS, Preset, Step
from benchmarks.routing.report import Report
from benchmarks.routing.times import Time
from benchmarks.tables import place, short

COLOURS = dict(zip(IMPLEMENTATIONS, ("#9a9a9a", "#7aa6c2", "#c8553d", "#e39a88", "#c9c9c9", "#e0b36a"), strict=True))
LABELS: dict[Axis, str] = {"types": "capsule types", "grid": "rows of the children's grid", "iterations": "iterations"}


def picture(report: Report) -> Figure:
    """Bars for each network and step on a logarithmic axis, and three curves of one layer's time."""
    presets = report.settings.presets
    figure = Figure(figsize=(12, 3.4 * len(presets) + 3.4), layout="constrained")
    grid = figure.add_gridspec(len(presets) + 1, 6)
    for row, preset in enumerate(presets):
        for column, step in enumerate(STEPS):
            _bars(figure.add_subplot(grid[row, column * 3 : column * 3 + 3]), report, preset, step)
    for column, axis in enumerate(AXES):
        _curves(figure.add_subplot(grid[-1, column * 2 : column * 2 + 2]), report, axis)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.supxlabel(f"{report.machine.processor}, {report.machine.cores} cores, commit {report.machine.commit}")
    return figure


def _bars(axes: Axes, report: Report, preset: Preset, step: Step) -> None:
    """Bars of the GPU if there is one, else of the CPU with the most threads."""
    times = [time for time in report.times if time.preset == preset and time.step == step]
    device = "cuda" if report.machine.gpu else "cpu"
    threads = None if report.machine.gpu else max(report.settings.threads)
    times = [time for time in times if (time.device, time.threads) == (device, threads)]
    names = list(dict.fromkeys(time.implementation for time in times))
    width = 0.84 / len(names)
    for number, name in enumerate(names):
        of_name = [time for time in times if time.implementation == name]
        middles = [time.per_image.median_ms for time in of_name]
        down = [time.per_image.median_ms - time.per_image.fastest_ms for time in of_name]
        up = [time.per_image.slowest_ms - time.per_image.median_ms for time in of_name]
        places = [index + (number - (len(names) - 1) / 2) * width for index in range(len(of_name))]
        axes.bar(places, middles, width * 0.94, color=COLOURS[name], label=name)
        axes.errorbar(places, middles, [down, up], fmt="none", ecolor="black", elinewidth=0.7)
        for middle, time in zip(places, of_name, strict=True):
            axes.annotate(
                _label(time),
                (middle, time.per_image.slowest_ms),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.15)
    axes.set_xticks(range(len(report.settings.batch)), [f"batch {batch}" for batch in report.settings.batch])
    axes.set_ylabel("ms per image")
    axes.set_title(f"{preset}, {step}, {place(threads)}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _label(time: Time) -> str:
    """The median, and the batch that was measured if it is not the one on the axis."""
    text = short(time.per_image.median_ms)
    return text if time.measured_batch == time.batch else f"{text}\nat {time.measured_batch}"


def _curves(axes: Axes, report: Report, axis: Axis) -> None:
    for step, marker in zip(STEPS, "os", strict=True):
        points = [growth for growth in report.growth if (growth.axis, growth.step) == (axis, step)]
        middles = [point.per_image.median_ms for point in points]
        axes.plot([point.value for point in points], middles, marker=marker, markersize=4, label=step)
    axes.set_xlabel(LABELS[axis])
    axes.set_ylabel("ms per image, one layer")
    axes.legend(frameon=False)
    axes.set_xticks(AXES[axis])
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
