"""Trains, opens and alters small runs and artefacts for tests."""

import json
from pathlib import Path
from typing import Any

import onnx

from matcaps.training.cli import train as command
from matcaps.training.config import TrainConfig, from_json
from matcaps.training.engine import checkpoint
from tests.support.options import TINY

OWN_FIELDS = ("format", "architecture", "network", "weights")  # written by checkpoint.save itself


def train(recipe: str, folder: Path, *options: str, root: Path) -> Path:
    """Train a tiny network by a recipe for one epoch, or as the options say; returns the run's folder."""
    arguments = [recipe, f"--root={root}", f"--run-folder={folder}", *TINY, "--batch-size=16", "--epochs=1", *options]
    assert command.main(arguments) == 0
    return folder


def config_of(run: Path) -> TrainConfig:
    """The configuration in a run's checkpoint."""
    return from_json(checkpoint.load(run / "last.pt")["config"])


def write_checkpoint(path: Path, saved: dict[str, Any]) -> None:
    """Write the content of a loaded checkpoint again, after a test changed it."""
    state = {name: value for name, value in saved.items() if name not in OWN_FIELDS}
    checkpoint.save(path, checkpoint.rebuild(saved), **state)


def metadata_of(version: Path) -> dict[str, Any]:
    """The metadata of an artefact, without the prefix of their names."""
    proto = onnx.load(version / "model.onnx")
    return {entry.key.removeprefix("matcaps."): json.loads(entry.value) for entry in proto.metadata_props}


def copy_with_metadata(version: Path, folder: Path, name: str, value: object) -> None:
    """Copy an artefact with another value in its metadata, or without one if the value is None."""
    proto = onnx.load(version / "model.onnx")
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != f"matcaps.{name}"}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept if value is None else {**kept, f"matcaps.{name}": json.dumps(value)})
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, folder / "model.onnx")
