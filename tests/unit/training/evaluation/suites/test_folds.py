"""The suite folds has tables of error and log-loss by toy, and compares two recipes seed by seed."""

import json
import math
from pathlib import Path

import pytest

from matcaps.training.evaluation.metrics import Toy, ToyScore
from matcaps.training.evaluation.report import write
from matcaps.training.evaluation.runs import Fold
from matcaps.training.evaluation.suites.folds import folds

CLASSES = ("circle", "square")


def run(**instances: tuple[float, float]) -> dict[Toy, ToyScore]:
    """The errors of circle and square for each instance; the log-loss is ten times the error."""
    return {
        (name, int(instance[1:])): ToyScore(100, error, 10 * error)
        for instance, errors in instances.items()
        for name, error in zip(CLASSES, errors, strict=True)
    }


OURS = {Fold(0, (4,)): run(i4=(0.1, 0.2)), Fold(0, (9,)): run(i9=(0.0, 0.1))}
THEIRS = {Fold(0, (4,)): run(i4=(0.2, 0.4)), Fold(0, (9,)): run(i9=(0.2, 0.0))}


def test_the_tables_have_a_row_per_class_and_a_column_per_instance() -> None:
    """The last row and column are means; the standard error is over the four toys."""
    report = folds({"capsules": OURS}, CLASSES)
    rows = [line.split() for line in report.table.splitlines()]
    spread = math.sqrt((2 * 0.1**2) / 3 / 4)  # of 0.1, 0.2, 0.0 and 0.1
    assert rows[0] == ["capsules,", "error", "instance", "4", "instance", "9", "all"]
    assert rows[1] == ["circle", "10.0%", "0.0%", "5.0%"]
    assert rows[3] == ["all", "15.0%", "5.0%", "10.0", "±", f"{100 * spread:.1f}", "%"]
    assert rows[6] == ["circle", "1.000", "0.000", "0.500"]
    assert rows[8] == ["all", "1.500", "0.500", "1.000", "±", f"{10 * spread:.3f}"]
    assert report.table.endswith("seed 0: 10.0%, log-loss 1.000; ± is the standard error over toys")
    found = report.content["networks"]["capsules"]
    assert (found["error"], found["standard_error"]) == (pytest.approx(0.1), pytest.approx(spread))
    assert (found["log_loss"], found["log_loss_standard_error"]) == (pytest.approx(1.0), pytest.approx(10 * spread))
    assert "comparison" not in report.content


def test_runs_whose_held_out_instances_overlap_are_pooled_by_toy() -> None:
    """A toy that two runs held out counts the images of both."""
    runs = {
        Fold(0, (4, 9)): run(i4=(0.0, 0.0), i9=(0.1, 0.1)),
        Fold(0, (4, 7)): run(i4=(0.2, 0.4), i7=(0.0, 0.0)),
        Fold(0, (7, 9)): run(i7=(0.3, 0.3), i9=(0.1, 0.1)),
    }
    found = folds({"capsules": runs}, CLASSES).content["networks"]["capsules"]
    by_toy = {(row["class"], row["instance"]): (row["images"], row["error"]) for row in found["by_instance"]}
    assert by_toy["square", 4] == (200, pytest.approx(0.2))
    assert by_toy["circle", 7] == (200, pytest.approx(0.15))
    assert found["error"] == pytest.approx((0.1 + 0.2 + 0.15 + 0.15 + 0.1 + 0.1) / 6)


def test_several_seeds_have_a_deviation() -> None:
    """The note under the table has the means of the seeds and their deviation, as does the JSON."""
    runs = {
        Fold(0, (4,)): run(i4=(0.1, 0.1)),
        Fold(5, (4,)): run(i4=(0.1, 0.3)),
    }
    report = folds({"capsules": runs}, CLASSES)
    assert "15.0 ± 5.0 %" in report.table
    assert "seed 0: 10.0%, log-loss 1.000; seed 5: 20.0%, log-loss 2.000" in report.table
    assert "(standard deviation of the errors 7.1 points)" in report.table
    found = report.content["networks"]["capsules"]
    assert [(row["seed"], row["error"]) for row in found["by_seed"]] == [
        (0, pytest.approx(0.1)),
        (5, pytest.approx(0.2)),
    ]
    assert found["seed_deviation"] == pytest.approx(0.1 / math.sqrt(2))


def test_two_recipes_are_compared_by_seed(tmp_path: Path) -> None:
    """Difference, ratio and verdict are printed and written; a seed of one recipe alone has no column."""
    ours = {**OURS, Fold(1, (4,)): run(i4=(0.3, 0.3)), Fold(1, (9,)): run(i9=(0.3, 0.3))}
    report = folds({"ours": ours, "theirs": THEIRS}, CLASSES)
    rows = [line.split("  ") for line in report.table.splitlines() if line.startswith(("ours against", "error, "))]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["ours against theirs", "seed 0"],
        # −0.1, −0.2, −0.2 and 0.1 by toy: a deviation of √0.02
        ["error, difference, points", "-10.0 ± 7.1"],
        # 0.5 of 0.2; residuals 0, 0, −0.1 and 0.1: a deviation of √(0.02 / 3), over √4 and 0.2
        ["error, ratio", f"0.500 ± {math.sqrt(0.02 / 3) / 2 / 0.2:.3f}"],
    ]
    assert "\nours is undecided: the gain of log-loss is 50.0 % (seed 0)" in report.table
    written, figure = write(report, tmp_path, "folds")
    found = json.loads(written.read_text())["comparison"]
    assert (found["of"], found["to"]) == ("ours", "theirs")
    (of_seed,) = found["by_seed"]
    assert of_seed["log_loss"]["difference"]["value"] == pytest.approx(-1.0)
    assert of_seed["log_loss"]["ratio"]["value"] == pytest.approx(0.5)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_two_seeds_decide() -> None:
    """The last column is over both seeds, and the recipe is kept or not."""
    second = {Fold(1, fold.instances): scores for fold, scores in OURS.items()}
    baseline = {Fold(1, fold.instances): scores for fold, scores in THEIRS.items()}
    report = folds({"ours": {**OURS, **second}, "theirs": {**THEIRS, **baseline}}, CLASSES)
    assert "ours is kept: gains of log-loss are 50.0 % (seed 0), 50.0 % (seed 1)" in report.table
    assert [line.split()[-1] for line in report.table.splitlines() if line.startswith("ours against")] == ["all"]
    report = folds({"ours": {**THEIRS, **second}, "theirs": {**THEIRS, **baseline}}, CLASSES)
    assert "ours is not kept: gains of log-loss are 0.0 % (seed 0), 50.0 % (seed 1)" in report.table


def test_recipes_without_a_common_seed_are_not_compared() -> None:
    """The error names the seeds of both."""
    others = {Fold(2, fold.instances): scores for fold, scores in THEIRS.items()}
    with pytest.raises(ValueError, match=r"ours has seeds \[0\], theirs \[2\]"):
        folds({"ours": OURS, "theirs": others}, CLASSES)
