"""The report of ``python -m benchmarks routing`` in Markdown."""

from benchmarks.routing.growth import AXES, BASE
from benchmarks.routing.implementations import STEPS
from benchmarks.routing.report import Report
from benchmarks.tables import place, short, table


def markdown(report: Report) -> str:
    """All figures, with the command, the machine and the commit."""
    sections = [
        f"`{report.command}`\n\n{report.machine}",
        _times(report),
        _memory_and_errors(report),
        _rates(report),
        _growth(report),
    ]
    return "\n\n".join(sections) + "\n"


def _times(report: Report) -> str:
    batches = report.settings.batch
    head = ["network", "step", "on", "implementation", *(f"batch {batch}" for batch in batches)]
    rows: dict[tuple[str, ...], list[str]] = {}
    for time in report.times:
        on = place(time.threads)
        fewer = f" at {time.measured_batch}" if time.measured_batch < time.batch else ""
        spread = f"{short(time.per_image.fastest_ms)}–{short(time.per_image.slowest_ms)}"
        cell = f"{short(time.per_image.median_ms)} ({spread}){fewer}, {short(time.ratio)}×"
        rows.setdefault((time.preset, time.step, on, time.implementation), []).append(cell)
    said = (
        "Milliseconds per image, median (fastest–slowest round), and the textbook's time divided by it. "
        "“at 4”: measured with four images at once, since stored votes of more take over 4 GB or minutes. "
        "“positions”: the parents of each type compete by themselves; elsewhere all parents compete."
    )
    return said + "\n\n" + table(head, ([*key, *cells] for key, cells in rows.items()), numbers=4)


def _memory_and_errors(report: Report) -> str:
    head = ["network", "on", "implementation", *(f"{step}: peak memory" for step in STEPS)]
    head += ["error of logits", "error of gradients"]
    memory = {(found.preset, found.device, found.implementation, found.step): found for found in report.memory}
    rows = []
    for error in report.errors:
        peaks = []
        for step in STEPS:
            found = memory.get((error.preset, error.device, error.implementation, step))
            peaks.append(f"{found.mib:,.0f} MiB for {found.batch}, {found.mib_per_image:.1f} each" if found else "–")
        gradients = "–" if error.gradients is None else f"{error.gradients:.1e}"
        rows.append([error.preset, error.device, error.implementation, *peaks, f"{error.logits:.1e}", gradients])
    said = (
        "Peak memory above that of the process at rest (`benchmarks/routing/memory.py`), with the batch; "
        "largest error against plain PyTorch in float64 with the same competition at batch 2, relative to the largest "
        "element."
    )
    return said + "\n\n" + table(head, rows, numbers=3)


def _rates(report: Report) -> str:
    head = ["network", "on", "ms per image", "multiply-adds of votes", "with sums", "matrix product"]
    head += ["bytes moved", "copy"]
    rows = [
        [
            rate.preset,
            place(rate.threads),
            short(rate.per_image.median_ms),
            f"{rate.multiply_adds / 1e6:.1f} M, {rate.multiply_adds_per_s / 1e9:.1f} G/s",
            f"{rate.multiply_adds_with_sums_per_s / 1e9:.1f} G/s",
            f"{rate.matrix_product_multiply_adds_per_s / 1e9:.1f} G/s",
            f"{rate.bytes_moved / 1e6:.1f} MB, {rate.bytes_per_s / 1e9:.2f} GB/s",
            f"{rate.copy_bytes_per_s / 1e9:.1f} GB/s",
        ]
        for rate in report.rates
    ]
    said = (
        "The three routed layers alone, forward at batch 8, beside a matrix product and a copy on the same machine "
        "(`benchmarks/routing/rates.py`)."
    )
    return said + "\n\n" + table(head, rows, numbers=2)


def _growth(report: Report) -> str:
    head = ["the layer's", *(f"{step}, ms per image" for step in STEPS)]
    found = {(growth.axis, growth.value, growth.step): growth for growth in report.growth}
    rows = [
        [
            f"{axis}: {value}×{value}" if axis == "grid" else f"{axis}: {value}",
            *(short(found[axis, value, step].per_image.median_ms) for step in STEPS),
        ]
        for axis, values in AXES.items()
        for value in values
    ]
    base = f"{BASE['types']} types, a {BASE['grid']}×{BASE['grid']} grid and {BASE['iterations']} iterations"
    on = place(report.growth[0].threads)
    said = f"One routed layer (3×3, stride 2) by the default implementation ({on}); one number changes, of {base}."
    return said + "\n\n" + table(head, rows, numbers=1)
