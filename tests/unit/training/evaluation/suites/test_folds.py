"""Runs that held out different instances are pooled by class, instance and seed."""

import json
import math
from pathlib import Path

import pytest
import torch

from matcaps.training.evaluation.metrics import Evaluation
from matcaps.training.evaluation.report import write
from matcaps.training.evaluation.runs import Fold
from matcaps.training.evaluation.suites.folds import folds, pool

CLASSES = ("circle", "square")


def evaluation(instance: int, circle: float, square: float) -> Evaluation:
    """100 images of each class, of one instance."""
    by_instance = {("circle", instance): circle, ("square", instance): square}
    return Evaluation(200, (circle + square) / 2, (0.0, 1.0), torch.zeros(2, 2, dtype=torch.int64), by_instance)


def runs(*errors: tuple[int, int, float, float]) -> dict[Fold, Evaluation]:
    """A run for each seed, instance and errors of the two classes."""
    return {Fold(seed, instance): evaluation(instance, *of_classes) for seed, instance, *of_classes in errors}


def test_the_pooled_error_is_over_all_images() -> None:
    """Its standard error comes from the spread of the instances, and is NaN for one."""
    found = pool(runs((0, 4, 0.1, 0.3), (0, 9, 0.0, 0.0), (0, 7, 0.5, 0.3)))
    assert found.error == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(0.2 / math.sqrt(3))
    assert found.by_instance["circle", 7] == 0.5
    assert math.isnan(pool(runs((0, 4, 0.1, 0.3))).standard_error)


def test_seeds_are_averaged() -> None:
    """Errors are means over seeds; the standard error is that of the instances' means."""
    found = pool(runs((3, 9, 0.2, 0.4), (3, 4, 0.0, 0.2), (1, 4, 0.2, 0.0), (1, 9, 0.4, 0.6)))
    assert list(found.by_seed) == [1, 3]
    assert found.by_seed == {1: pytest.approx(0.3), 3: pytest.approx(0.2)}
    assert found.error == pytest.approx(0.25)
    assert found.by_instance == {
        ("circle", 4): pytest.approx(0.1),
        ("square", 4): pytest.approx(0.1),
        ("circle", 9): pytest.approx(0.3),
        ("square", 9): pytest.approx(0.5),
    }
    assert found.standard_error == pytest.approx(0.15)  # of 0.1 and 0.4


def test_the_report_compares_two_recipes(tmp_path: Path) -> None:
    """The table has a row per class and a column per instance, and the ratio of the errors."""
    ours, theirs = runs((0, 9, 0.0, 0.1), (0, 4, 0.1, 0.2)), runs((0, 4, 0.2, 0.4), (0, 9, 0.2, 0.0))
    report = folds({"capsules": ours, "CNN": theirs}, CLASSES)
    rows = [line.split() for line in report.table.splitlines()]
    assert rows[0] == ["capsules", "instance", "4", "instance", "9", "all"]
    assert rows[1] == ["circle", "10.0%", "0.0%", "5.0%"]
    assert rows[3] == ["all", "15.0%", "5.0%", "10.0", "±", "5.0", "%"]
    assert report.table.endswith("the error of capsules is 0.50 times that of CNN")
    assert report.content["ratio"] == {"of": "capsules", "to": "CNN", "value": pytest.approx(0.5)}
    assert list(report.content["networks"]) == ["capsules", "CNN"]
    assert report.content["networks"]["CNN"]["error"] == pytest.approx(0.2)
    assert "seed" not in report.table
    written, figure = write(report, tmp_path, "folds")
    assert json.loads(written.read_text())["networks"]["capsules"]["standard_error"] == pytest.approx(0.05)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_report_of_several_seeds_says_how_much_they_differ() -> None:
    """A note under the table has the errors of the seeds and their deviation, as does the JSON."""
    ours = runs((0, 4, 0.1, 0.1), (0, 9, 0.0, 0.1), (5, 4, 0.1, 0.3), (5, 9, 0.0, 0.3))
    report = folds({"capsules": ours, "CNN": runs((2, 4, 0.1, 0.1), (2, 9, 0.1, 0.1))}, CLASSES)
    lines = report.table.splitlines()
    assert lines[3].split() == ["all", "15.0%", "10.0%", "12.5", "±", "2.5", "%"]
    assert lines[4].startswith(
        "means of 2 seeds: 7.5% (seed 0), 17.5% (seed 5), with a standard deviation of 7.1 points"
    )
    assert "seed 2 only" in report.table
    found = report.content["networks"]["capsules"]
    assert found["by_seed"] == [
        {"seed": 0, "error": pytest.approx(0.075)},
        {"seed": 5, "error": pytest.approx(0.175)},
    ]
    assert found["seed_deviation"] == pytest.approx(0.1 / math.sqrt(2))
    assert report.content["networks"]["CNN"]["seed_deviation"] is None
