"""Few pictures are learnt in a third of the steps by a network that knows other shapes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matcaps.training.config import FOLDER_CLASSES, AugmentationConfig, DataConfig, OptimisationConfig
from matcaps.training.engine import checkpoint
from matcaps.training.engine.loop import train
from tests.support.drawings import draw_folder
from tests.support.options import tiny_run


def test_a_start_saves_two_thirds_of_the_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With 20 pictures of two shapes, a third of the steps reaches the error of random weights, which they do not."""
    known = draw_folder(tmp_path / "known", ("circle", "cross", "ring", "triangle"), 60, seed=0)
    few = draw_folder(tmp_path / "few", ("diamond", "square"), 20, seed=1)
    unseen = draw_folder(tmp_path / "unseen", ("diamond", "square"), 100, seed=2)

    def error(
        name: str, epochs: int, start_from: Path | None = None, *, data: Path = few, batch_size: int = 8
    ) -> float:
        validation = unseen if data == few else None
        options = OptimisationConfig(epochs=epochs, batch_size=batch_size, learning_rate=0.01)
        config = tiny_run(str(data), tmp_path / name, optimisation=options)
        run = train(
            replace(
                config,
                data=DataConfig(str(data), validation=validation),
                network=replace(config.network, classes=FOLDER_CLASSES),
                augmentation=AugmentationConfig(brightness=8.0, contrast=(0.5, 1.5)),
                start_from=start_from,
            )
        )
        last = json.loads((run.parent / "metrics.jsonl").read_text().splitlines()[-1])
        return float(last["held_out_error"])

    assert error("trained", 14, data=known, batch_size=16) < 0.1
    alone, short = error("alone", 30), error("short", 10)
    capsys.readouterr()
    started = error("started", 10, tmp_path / "trained")
    assert started <= alone < 0.1 < short
    assert (
        "new: class_caps, calibration; the classes there were circle, cross, ring, triangle" in capsys.readouterr().out
    )
    steps = {name: checkpoint.load(tmp_path / name / "last.pt")["progress"]["step"] for name in ("alone", "started")}
    assert steps == {"alone": 150, "started": 50}
