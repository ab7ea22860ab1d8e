"""Runs that held out different instances, pooled."""

import json
import math
from pathlib import Path

import pytest
import torch

from training.evaluate import Evaluation
from training.suites.folds import folds, pool
from training.suites.report import write

CLASSES = ("circle", "square")


def evaluation(instance: int, circle: float, square: float) -> Evaluation:
    """100 images of each class, of one instance."""
    by_instance = {("circle", instance): circle, ("square", instance): square}
    return Evaluation(200, (circle + square) / 2, (0.0, 1.0), torch.zeros(2, 2, dtype=torch.int64), by_instance)


def test_pooled_errors() -> None:
    """The error is that of all images, and its standard error that of the mean of the runs."""
    found = pool([evaluation(4, 0.1, 0.3), evaluation(9, 0.0, 0.0), evaluation(7, 0.5, 0.3)])
    assert found.error == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(0.2 / math.sqrt(3))
    assert found.by_instance["circle", 7] == 0.5
    assert math.isnan(pool([evaluation(4, 0.1, 0.3)]).standard_error)


def test_what_cannot_be_pooled() -> None:
    """The same instance twice, no run, runs of data without instances, and recipes that were judged by others."""
    with pytest.raises(ValueError, match="more than one run held out instance 4"):
        pool([evaluation(4, 0.1, 0.3), evaluation(4, 0.0, 0.0)])
    with pytest.raises(ValueError, match="hold out an instance"):
        pool([])
    with pytest.raises(ValueError, match="hold out an instance"):
        pool([evaluation(4, 0.1, 0.3)._replace(by_instance={})])
    with pytest.raises(ValueError, match="held out other instances"):
        folds({"capsules": [evaluation(4, 0.1, 0.3)], "CNN": [evaluation(6, 0.1, 0.3)]}, CLASSES)


def test_the_report(tmp_path: Path) -> None:
    """The table has a row for each class and a column for each instance, and says how the two compare."""
    ours, theirs = [evaluation(9, 0.0, 0.1), evaluation(4, 0.1, 0.2)], [evaluation(4, 0.2, 0.4), evaluation(9, 0.2, 0)]
    report = folds({"capsules": ours, "CNN": theirs}, CLASSES)
    rows = [line.split() for line in report.table.splitlines()]
    assert rows[0] == ["capsules", "instance", "4", "instance", "9", "all"]
    assert rows[1] == ["circle", "10.0%", "0.0%", "5.0%"]
    assert rows[3] == ["all", "15.0%", "5.0%", "10.0", "±", "5.0", "%"]
    assert report.table.endswith("the error of capsules is 0.50 times that of CNN")
    assert report.content["ratio"] == {"of": "capsules", "to": "CNN", "value": pytest.approx(0.5)}
    assert list(report.content["networks"]) == ["capsules", "CNN"]
    assert report.content["networks"]["CNN"]["error"] == pytest.approx(0.2)
    written, picture = write(report, tmp_path, "folds")
    assert json.loads(written.read_text())["networks"]["capsules"]["standard_error"] == pytest.approx(0.05)
    assert picture.read_bytes().startswith(b"\x89PNG")
