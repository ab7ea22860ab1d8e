"""Prints the report of a suite, and writes its files."""

from pathlib import Path

from matcaps.training.cli.evaluate.options import Split
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.report import Report, write

NO_BASELINE = (
    "\nto compare with a CNN, train it with --architecture cnn --keep-epochs and name its folder as --baseline"
)


def publish_of_run(report: Report, images: ImageSet, folder: Path, suite: str, split: Split) -> None:
    """Print and write the report of a run on a split."""
    report = report._replace(content={"data_set": images.name, "split": split, **report.content})
    print(f"{images.name}, {'the official test split' if split == 'test' else 'held-out images'}\n")
    publish(report, folder, suite if split == "held-out" else f"{suite}-test")


def publish(report: Report, folder: Path, name: str) -> None:
    """Print and write a report."""
    print(report.table)
    for path in write(report, folder, name):
        print(f"wrote {path}")
