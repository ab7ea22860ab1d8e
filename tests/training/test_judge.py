"""A released artefact is judged by itself, without its run: what its record claims can be seen again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.training.data.writers import TEST, matrix, originals, prepared, write
from training.__main__ import main

TINY = [
    "--network.crop-size=20",
    "--network.resolution=20",
    "--network.stem-channels=4",
    "--network.primary-types=2",
    "--network.conv-types-1=3",
    "--network.conv-types-2=4",
    "--batch-size=16",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets: both splits of a small smallNORB of random pictures."""
    root = tmp_path_factory.mktemp("data")
    (root / "smallnorb").mkdir()
    np.savez(root / "smallnorb" / "train_48.npz", **prepared(300))  # type: ignore[arg-type]
    for part, values in originals(20, seed=1).items():
        write(root / "smallnorb" / f"{TEST}-{part}.mat", matrix(values))
    return root


@pytest.fixture(scope="module")
def version(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact of a network that saw the three lowest elevations of all instances but 4."""
    folder = tmp_path_factory.mktemp("released")
    run = ["train", "smallnorb", f"--root={root}", f"--run-folder={folder / 'run'}", *TINY, "--epochs=1"]
    assert main([*run, "--elevations", "0", "1", "2"]) == 0
    assert main(["release", f"--run-folder={folder / 'run'}", "--name=low", f"--models={folder / 'models'}"]) == 0
    return folder / "models" / "low" / "1"


def test_its_record_is_seen_again(
    root: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On what its training held out it errs as its record says; familiar and novel elevations stand apart."""
    assert main(["judge", str(version), f"--root={root}", f"--to={tmp_path}"]) == 0
    table = capsys.readouterr().out
    found = json.loads((tmp_path / "low-1-held-out.json").read_text())
    assert found["error"] == pytest.approx(found["training"]["validation_error"], abs=1e-6)
    assert f"{found['error']:.2%}" in table
    assert (tmp_path / "low-1-held-out.png").read_bytes().startswith(b"\x89PNG")
    held = np.load(root / "smallnorb" / "train_48.npz")
    of_4 = held["elevation"][held["instance"] == 4]
    assert found["images"] == 2 * len(of_4)
    counts = {int(value): int((of_4 == value).sum()) for value in np.unique(of_4)}
    by_value = {int(value): error for value, error in found["elevation"]["by_value"].items()}
    assert by_value.keys() == counts.keys()
    novel = [value for value in counts if value > 2]
    mean = sum(by_value[value] * counts[value] for value in novel) / sum(counts[value] for value in novel)
    assert found["elevation"]["novel"] == pytest.approx(mean)
    assert "novel" in table


def test_a_test_split(root: Path, version: Path, tmp_path: Path) -> None:
    """All of its images are judged, once they are asked for."""
    assert main(["judge", str(version / "model.onnx"), f"--root={root}", f"--to={tmp_path}", "--split=test"]) == 0
    assert json.loads((tmp_path / "low-1-test.json").read_text())["images"] == 40


def test_pictures_of_ones_own(shapes: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of pictures is judged whole; its folders have names of classes, though not all of them."""
    toys = tmp_path / "toys"
    for name, shape in (("car", "circle"), ("animal", "square")):
        shutil.copytree(shapes / shape, toys / name)
    command = ["judge", str(version), f"--to={tmp_path}", f"--data={toys}"]
    assert main(command) == 0
    found = json.loads((tmp_path / "low-1-toys.json").read_text())
    assert [sum(row) for row in found["confusion"]] == [40, 0, 0, 0, 40]  # animals first, cars last
    (toys / "car").rename(toys / "boat")
    assert main(command) == 1
    assert "has the class boat, which is none of animal, human, airplane, truck, car" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "no artefact at"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is not a whole ONNX file"),
        (lambda path: strip(path), "its metadata have no emcaps.classes"),
    ],
)
def test_what_is_no_artefact(
    version: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is refused in one line that says what was found."""
    shutil.copytree(version, tmp_path / "1")
    damage(tmp_path / "1" / "model.onnx")
    assert main(["judge", str(tmp_path / "1")]) == 1
    assert words in capsys.readouterr().err


def strip(path: Path) -> None:
    """Take the metadata out of an artefact."""
    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.save(proto, path)


def test_nothing_was_held_out(root: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no image of the training split can judge, and what the record says of it is passed on."""
    proto = onnx.load(version / "model.onnx")
    entry = next(entry for entry in proto.metadata_props if entry.key == "emcaps.training")
    entry.value = json.dumps({**json.loads(entry.value), "held_out_instance": None, "protocol": "all instances"})
    onnx.save(proto, tmp_path / "model.onnx")
    assert main(["judge", str(tmp_path), f"--root={root}"]) == 1
    assert "names no held-out instance (all instances); only --split test" in capsys.readouterr().err
