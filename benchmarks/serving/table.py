"""The report of ``python -m benchmarks serving`` in Markdown."""

from benchmarks.serving.figures import Rate
from benchmarks.serving.report import Report
from benchmarks.tables import short, table


def markdown(report: Report) -> str:
    """All figures, with the command, the machine and the commit."""
    sections = [f"`{report.command}`\n\n{report.machine}", _png_requests(report), _images(report)]
    if report.missing:
        sections.append("\n".join(f"* {name}: {reason}" for name, reason in report.missing.items()))
    return "\n\n".join(sections) + "\n"


def _png_requests(report: Report) -> str:
    head = ["server", "callers", "requests/s", "p50, ms", "p99, ms", "failed", "matcaps / server"]
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
        for found in sorted(report.png_requests, key=lambda one: one.connections)
    ]
    said = (
        f"One 48×48 PNG per request, trivial network, {report.settings.rounds} interleaved rounds of "
        f"{report.settings.seconds:g} s, median (lowest–highest); wrk, one thread, on the same machine. "
        "LitServe and BentoML take the image as a field of a form, the others as the body. "
        "The last column is the ratio of requests/s, the median of the rounds."
    )
    return said + "\n\n" + table(head, rows, numbers=1)


def _images(report: Report) -> str:
    head = ["network", "images per request", "largest batch", "callers", "images/s", "session.run alone", "part of it"]
    head += ["cores: wrk", "event loop", "other threads", "failed"]
    rows = []
    if (tensors := report.tensor_requests) is not None:
        common = [str(tensors.images), str(tensors.images), str(tensors.connections), _spread(tensors.per_s)]
        rows.append(["trivial", *common, *["–"] * 5, str(tensors.failed)])
    for found in report.against_network:
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
                *(f"{part:.2f}" for part in (split.wrk, split.event_loop, split.other_threads)),
                str(found.failed),
            ]
        )
    said = (
        "Images per second through the service: one PNG per request, or several images as binary tensors (Open "
        "Inference Protocol v2); beside the network alone at its best batch, and the cores that were busy."
    )
    return said + "\n\n" + table(head, rows, numbers=1)


def _spread(rate: Rate) -> str:
    return f"{short(rate.median)} ({short(rate.lowest)}–{short(rate.highest)})"
