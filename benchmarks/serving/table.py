"""A report of serving in Markdown, to be pasted."""

from benchmarks.routing.table import short, table
from benchmarks.serving.figures import Rate
from benchmarks.serving.report import Report


def markdown(report: Report) -> str:
    """What was measured, with the command, the machine and the commit."""
    sections = [f"`{report.command}`\n\n{report.machine}", _pictures(report), _images(report)]
    if report.missing:
        sections.append("\n".join(f"* {name}: {reason}" for name, reason in report.missing.items()))
    return "\n\n".join(sections) + "\n"


def _pictures(report: Report) -> str:
    head = ["server", "callers", "requests/s", "p50, ms", "p99, ms", "failed", "matcaps is so many times as fast"]
    rows = [
        [
            found.server,
            str(found.connections),
            _spread(found.per_s),
            short(found.p50_ms),
            short(found.p99_ms),
            str(found.failed),
            f"{found.ratio:.2f}×",
        ]
        for found in sorted(report.pictures, key=lambda one: one.connections)
    ]
    said = (
        f"One PNG of 48×48 a request, trivial network, {report.settings.rounds} interleaved rounds of "
        f"{report.settings.seconds:g} s, median (lowest–highest); wrk, one thread, on the same machine. "
        "LitServe and BentoML take the picture as a field of a form, the others as the body."
    )
    return said + "\n\n" + table(head, rows, numbers=1)


def _images(report: Report) -> str:
    head = ["network", "images a request", "largest batch", "callers", "images/s", "session.run alone", "part of it"]
    head += ["cores of wrk", "of the event loop", "of other threads", "failed"]
    rows = []
    if (tensors := report.tensors) is not None:
        common = [str(tensors.images), str(tensors.images), str(tensors.connections), _spread(tensors.per_s)]
        rows.append(["trivial", *common, *["–"] * 5, str(tensors.failed)])
    for found in report.against:
        split = found.split
        rows.append(
            [
                found.network,
                str(found.images),
                str(found.batch),
                "32",
                _spread(found.served_per_s),
                _spread(found.raw_per_s),
                f"{100 * found.part:.0f} %",
                *(f"{part:.2f}" for part in (split.generator, split.event_loop, split.other_threads)),
                str(found.failed),
            ]
        )
    said = (
        "Images a second through the service: one PNG a request, or several images as binary tensors (Open Inference "
        "Protocol v2); against the network alone at its best batch, and cores kept busy meanwhile."
    )
    return said + "\n\n" + table(head, rows, numbers=1)


def _spread(rate: Rate) -> str:
    return f"{short(rate.median)} ({short(rate.lowest)}–{short(rate.highest)})"
