"""A released artefact is judged by itself, without its run: what its record claims can be seen again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from matcaps.training.__main__ import main
from matcaps.training.config import RECIPES
from matcaps.training.data import load
from matcaps.training.splits import split, unseen
from tests.support.options import TINY
from tests.support.writers import TEST, idx, matrix, originals, prepared, write

SMALL = [*TINY, "--batch-size=16"]


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
    run = ["train", "smallnorb", f"--root={root}", f"--run-folder={folder / 'run'}", *SMALL, "--epochs=1"]
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
    assert (found["data_set"], found["split"]) == ("smallnorb", "held-out")
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


def test_rows_are_drawn_as_the_training_drew_them(tmp_path: Path) -> None:
    """Of MNIST those are judged that were never trained on, whichever seed drew them."""
    draws = np.random.default_rng(0)
    pixels, labels = draws.integers(256, size=(60_000, 28, 28)), draws.integers(10, size=60_000)
    write(tmp_path / "mnist" / "train-images-idx3-ubyte", idx(pixels.astype(np.uint8)))
    write(tmp_path / "mnist" / "train-labels-idx1-ubyte", idx(labels.astype(np.uint8)))
    held_out = split(replace(RECIPES["mnist"][1], root=tmp_path, held_out_rows=200, seed=5))[1]
    found = unseen(load("mnist", tmp_path), {"validation_images": 200, "seed": 5})
    assert torch.equal(found.images, held_out.images)
    assert torch.equal(found.labels, held_out.labels)


def test_pictures_of_ones_own(shapes: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of pictures is judged whole; its folders have names of classes, though not all of them."""
    toys = tmp_path / "test"  # not the name of a split here
    for name, shape in (("car", "circle"), ("animal", "square")):
        shutil.copytree(shapes / shape, toys / name)
    for picture in sorted((toys / "car").iterdir())[:10]:
        picture.unlink()
    command = ["judge", str(version), f"--to={tmp_path}", f"--data={toys}"]
    assert main(command) == 0
    found = json.loads((tmp_path / "low-1-folder-test.json").read_text())
    assert [sum(row) for row in found["confusion"]] == [40, 0, 0, 0, 30]  # animals first, cars last
    assert (found["data_set"], found["split"]) == (str(toys), "folder")
    (toys / "car").rename(toys / "boat")
    assert main(command) == 1
    assert "has the class boat, which is none of animal, human, airplane, truck, car" in capsys.readouterr().err


def told(version: Path, folder: Path, name: str, value: object) -> None:
    """Write a copy of an artefact whose metadata have another value under a name, or none."""
    proto = onnx.load(version / "model.onnx")
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != f"matcaps.{name}"}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept if value is None else {**kept, f"matcaps.{name}": json.dumps(value)})
    onnx.save(proto, folder / "model.onnx")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("classes", None, "has not the metadata of an artefact: KeyError 'matcaps.classes'"),
        ("classes", 5, "has not the metadata of an artefact: TypeError"),
        ("image", {}, "has not the metadata of an artefact: KeyError 'channels'"),
        ("image", {"channels": 1, "height": 32, "width": 32}, "the graph has {'images': [1, 48, 48]"),
        ("classes", ["car", "truck"], "'activations': [5]}"),
        ("training", 3, "has not the metadata of an artefact: TypeError"),
    ],
)
def test_what_is_no_artefact(
    version: Path,
    shapes: Path,
    tmp_path: Path,
    name: str,
    value: object,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is refused in one line that says what was found."""
    for shape, class_ in (("circle", "car"), ("square", "truck")):
        shutil.copytree(shapes / shape, tmp_path / "toys" / class_)
    told(version, tmp_path, name, value)
    assert main(["judge", str(tmp_path), f"--data={tmp_path / 'toys'}"]) == 1
    complaint = capsys.readouterr().err
    assert words in complaint
    assert complaint.count("\n") == 1


def test_folders_hold_neither_pairs_nor_splits(version: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures of one's own cannot judge a stereo model, nor be asked for together with a test split."""
    stereo = next((Path(__file__).parents[3] / "model_repository" / "smallnorb-stereo").iterdir())
    assert main(["judge", str(stereo), f"--data={shapes}"]) == 1
    assert "takes pairs of pictures, a folder holds single ones" in capsys.readouterr().err
    assert main(["judge", str(version), f"--data={shapes}", "--split=test"]) == 1
    assert "not both" in capsys.readouterr().err


def test_what_is_no_file(version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file and half of one are told apart."""
    assert main(["judge", str(tmp_path)]) == 1
    assert "no artefact at" in capsys.readouterr().err
    (tmp_path / "model.onnx").write_bytes((version / "model.onnx").read_bytes()[:5000])
    assert main(["judge", str(tmp_path)]) == 1
    assert "cannot be loaded as ONNX" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"data_set": "smallnorb", "held_out_instance": None, "protocol": "all of them"}, "(protocol: all of them)"),
        ({"data_set": "smallnorb"}, "judge it by --split test"),
        ({"data_set": "smallnorb", "held_out_instance": "4"}, "judge it by --split test"),
        ({"data_set": "folder smallnorb"}, "was trained on folder smallnorb; name a folder of pictures"),
        ({}, "was trained on None"),
    ],
)
def test_nothing_to_judge_by(
    root: Path,
    version: Path,
    tmp_path: Path,
    record: dict[str, object],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a record does not say what its training left out, nothing is taken for it."""
    told(version, tmp_path, "training", record)
    assert main(["judge", str(tmp_path), f"--root={root}"]) == 1
    assert words in capsys.readouterr().err


def test_nothing_is_novel(root: Path, version: Path, tmp_path: Path) -> None:
    """Trained on all elevations, an artefact has no error at others."""
    (tmp_path / "x" / "7").mkdir(parents=True)
    record = {"data_set": "smallnorb", "held_out_instance": 4, "elevations": list(range(9)), "lightings": None}
    told(version, tmp_path / "x" / "7", "training", record)
    assert main(["judge", str(tmp_path / "x" / "7"), f"--root={root}", f"--to={tmp_path}"]) == 0
    assert "elevation" not in json.loads((tmp_path / "x-7-held-out.json").read_text())


def test_no_record(shapes: Path, version: Path, tmp_path: Path) -> None:
    """An artefact without one can still be judged by pictures."""
    for shape, class_ in (("circle", "car"), ("square", "truck")):
        shutil.copytree(shapes / shape, tmp_path / "toys" / class_)
    (tmp_path / "x" / "7").mkdir(parents=True)
    told(version, tmp_path / "x" / "7", "training", None)
    assert main(["judge", str(tmp_path / "x" / "7"), f"--data={tmp_path / 'toys'}", f"--to={tmp_path}"]) == 0
    assert json.loads((tmp_path / "x-7-folder-toys.json").read_text())["images"] == 80
