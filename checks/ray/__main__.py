"""``scripts/check-ray``: answers, throughput and the loss of nodes, on three simulated nodes."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reads it when it is imported

from benchmarks.harness.client import Request, ask
from benchmarks.harness.trivial import write_model
from checks.ray import losses, throughput
from checks.ray.cluster import NODES, Nodes, running
from checks.ray.contract import ANSWER_S, check_contract
from matcaps.service.keys import digest


class Row(NamedTuple):
    """A line of the table."""

    title: str
    measured: str
    expected: str
    right: bool


def main() -> int:
    """Print the table; the exit status is 1 if a line of it is broken."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    rows, broken = list[Row](), list[str]()
    try:
        with running() as nodes, tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder) / "models")
            rows.extend(_contract(nodes, broken))
            rows.extend(_throughput(nodes, Path(folder)))
            rows.extend(_losses(nodes, Path(folder), broken))
    finally:
        _print(rows, broken)
    return int(not all(row.right for row in rows))


def _print(rows: list[Row], broken: list[str]) -> None:
    widths = [max((len(str(row[column])) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = "  ".join(str(cell).ljust(width) for cell, width in zip(row[:3], widths, strict=True))
        print(f"{'ok    ' if row.right else 'BROKEN'}  {cells}".rstrip())
    for text in broken[:10]:
        print(text)


def _contract(nodes: Nodes, broken: list[str]) -> Iterator[Row]:
    requests, differences = check_contract(nodes)
    broken += differences
    same = f"{requests - len(differences)} of {requests} answers equal the plain service's"
    yield Row("answers", same, "all", not differences)


def _throughput(nodes: Nodes, folder: Path) -> Iterator[Row]:
    found = throughput.measure(nodes, folder / "models")
    good = all(set(outcome.statuses) == {200} and not outcome.broken for outcome in (found.alone, found.scaled))
    rates = f"{found.alone.per_s:.1f} to {found.scaled.per_s:.1f} images/s, {found.ratio:.2f} times"
    least = f"at least {throughput.LEAST} times, none refused"
    yield Row(f"throughput, 1 to {NODES} replicas", rates, least, good and found.ratio >= throughput.LEAST)
    yield Row("autoscaling", f"{NODES} replicas after {found.scaled_s:.0f} s of load", "all of them", True)
    flood = found.flood
    said = ", ".join(f"{count} × {status}" for status, count in sorted(flood.statuses.items()))
    said += f", {flood.broken} without an answer" if flood.broken else ""
    kept = set(flood.statuses) == {200, 429} and not flood.broken
    yield Row("more requests than may wait", said, "200 and 429 alone", kept)


def _losses(nodes: Nodes, folder: Path, broken: list[str]) -> Iterator[Row]:
    keys = folder / "keys"
    keys.write_text(f"check sha256:{digest(losses.KEY)}\n")
    losses.deploy(nodes, folder / "models", keys)
    status = ask(nodes.port, Request("/models"), ANSWER_S).status
    yield Row("without a key", str(status), "401", status == 401)
    for with_entrance in (False, True):
        found = losses.kill(nodes, with_entrance)
        broken += found.wrong
        failed = ", ".join(f"{count} × {why}" for why, count in sorted(found.retried.items())) or "none"
        measured = f"{found.answered} answered, {len(found.wrong)} wrong, sent again: {failed}"
        measured += f"; longest {found.longest_s:.1f} s, replaced in {found.replaced_s:.0f} s"
        what = "a node dies" + (", that of the entrance" if with_entrance else "")
        yield Row(what, measured, "all answered rightly", bool(found.answered) and not found.wrong)


if __name__ == "__main__":
    sys.exit(main())
