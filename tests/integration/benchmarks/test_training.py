"""``python -m benchmarks training`` writes every figure; no time is judged."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import training
from benchmarks.training.report import COLOURS, FLOAT32, Settings


def test_training_steps_are_measured_by_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of a recipe's network and of the paper's CNN become a table, JSON and a plot."""
    settings = Settings(recipes=("mnist",), batch=2, threads=(1,), rounds=1, limit=1.0)
    threads = torch.get_num_threads()
    try:
        training(settings, json_=tmp_path / "steps.json", picture=tmp_path / "steps.png")
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "steps.json").read_bytes())["steps"]
    assert [step["network"] for step in found] == list(COLOURS)
    for step in found:
        spread = step["per_image"]
        assert 0 < spread["fastest_ms"] <= spread["median_ms"] <= spread["slowest_ms"]
        assert (step["ratio"] == 1.0) == (step["network"] == FLOAT32)
    assert "Training steps of 2 images: forward" in capsys.readouterr().out
