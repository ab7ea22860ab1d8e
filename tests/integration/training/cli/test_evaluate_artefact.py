"""A released artefact is evaluated without its run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from matcaps.training.cli.evaluate import main
from tests.support.runs import copy_with_metadata

REPOSITORY = Path(__file__).parents[4] / "model_repository"


@pytest.fixture
def toys(shapes: Path, tmp_path: Path) -> Path:
    """A folder of images with two class folders that have names of smallNORB's classes: 30 cars and 40 animals."""
    toys = tmp_path / "test"  # its name is also that of a split
    for name, shape in (("car", "circle"), ("animal", "square")):
        shutil.copytree(shapes / shape, toys / name)
    for image in sorted((toys / "car").iterdir())[:10]:
        image.unlink()
    return toys


def test_the_error_in_the_training_record_is_measured_again(
    root: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the held-out images the error is that of the record; familiar and novel elevations are separate."""
    assert main([str(version), f"--root={root}", f"--to={tmp_path}"]) == 0
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


def test_the_test_split_is_evaluated_whole(root: Path, version: Path, tmp_path: Path) -> None:
    """With --split test all its images count; the target may be the file itself."""
    target = str(version / "model.onnx")
    assert main(["standard", target, f"--root={root}", f"--to={tmp_path}", "--split=test"]) == 0
    assert json.loads((tmp_path / "low-1-test.json").read_text())["images"] == 40


def test_a_folder_of_images_is_evaluated_whole(version: Path, toys: Path, tmp_path: Path) -> None:
    """With --data the class folders have names of the artefact's classes, not necessarily all of them."""
    assert main([str(version), f"--to={tmp_path}", f"--data={toys}"]) == 0
    found = json.loads((tmp_path / "low-1-folder-test.json").read_text())
    assert [sum(row) for row in found["confusion"]] == [40, 0, 0, 0, 30]  # animals first, cars last
    assert (found["data_set"], found["split"]) == (str(toys), "folder")


def test_the_mistakes_of_an_artefact_are_a_page(version: Path, toys: Path, tmp_path: Path) -> None:
    """Each picture that standard counts as wrong is named; pairs come from the artefact's own primary capsules."""
    for suite in ("standard", "mistakes"):
        assert main([suite, str(version), f"--to={tmp_path}", f"--data={toys}"]) == 0
    found = json.loads((tmp_path / "low-1-mistakes-folder-test.json").read_text())
    confusion = json.loads((tmp_path / "low-1-folder-test.json").read_text())["confusion"]
    assert found["wrong"] == len(found["mistakes"]) == 70 - sum(row[label] for label, row in enumerate(confusion))
    assert all(Path(of["file"]).is_file() for of in found["mistakes"])
    assert found["pairs"]
    assert "Mistakes of low-1" in (tmp_path / "low-1-mistakes-folder-test.html").read_text()


def test_a_class_that_the_artefact_lacks_is_rejected(
    version: Path, toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the class and the artefact's classes."""
    (toys / "car").rename(toys / "boat")
    assert main([str(version), f"--data={toys}"]) == 1
    expected = "has the class boat, expected only animal, human, airplane, truck, car"
    assert expected in capsys.readouterr().err


def test_other_suites_need_a_run(version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A suite that needs torch or the training images rejects an artefact."""
    for suite in ("viewpoint", "adversarial", "poses", "routing"):
        assert main([suite, str(version)]) == 1
        assert "the others need a run, got" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("classes", None, "does not have the metadata of an artefact: KeyError 'matcaps.classes'"),
        ("classes", 5, "does not have the metadata of an artefact: TypeError"),
        ("image", {}, "does not have the metadata of an artefact: KeyError 'channels'"),
        ("image", {"channels": 1, "height": 32, "width": 32}, "the graph has {'images': [1, 48, 48]"),
        ("classes", ["car", "truck"], "'activations': [5]}"),
        ("training", 3, "does not have the metadata of an artefact: TypeError"),
    ],
)
def test_wrong_metadata_are_rejected(
    version: Path, toys: Path, tmp_path: Path, name: str, value: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is one line that says what is wrong."""
    copy_with_metadata(version, tmp_path, name, value)
    assert main([str(tmp_path), f"--data={toys}"]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_truncated_file_is_rejected(version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is one line that names the file."""
    (tmp_path / "model.onnx").write_bytes((version / "model.onnx").read_bytes()[:5000])
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path / 'model.onnx'} cannot be loaded as ONNX" in capsys.readouterr().err


def test_data_is_for_single_images_and_not_for_a_split(
    version: Path, toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder has no pairs for a stereo model, and --data excludes --split test."""
    stereo = next((REPOSITORY / "smallnorb-stereo").iterdir())
    assert main([str(stereo), f"--data={toys}"]) == 1
    assert "--data has single images, but" in capsys.readouterr().err
    assert main([str(version), f"--data={toys}", "--split=test"]) == 1
    assert "not both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"data_set": "smallnorb", "held_out_instance": None, "protocol": "all of them"}, "(protocol: all of them)"),
        ({"data_set": "folder smallnorb"}, "was trained on folder smallnorb, which is not a public data set"),
        ({}, "was trained on None"),
    ],
)
def test_a_record_without_held_out_images_is_rejected(
    root: Path,
    version: Path,
    tmp_path: Path,
    record: dict[str, object],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a data set or held-out images in the record, the error says how to evaluate instead."""
    copy_with_metadata(version, tmp_path, "training", record)
    assert main([str(tmp_path), f"--root={root}"]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "--data FOLDER" in error


def test_an_artefact_of_all_elevations_has_no_novel_error(root: Path, version: Path, tmp_path: Path) -> None:
    """If training saw all elevations, none is novel."""
    record = {"data_set": "smallnorb", "held_out_instances": [4, 9], "elevations": list(range(9)), "lightings": None}
    copy_with_metadata(version, tmp_path / "x" / "7", "training", record)
    assert main([str(tmp_path / "x" / "7"), f"--root={root}", f"--to={tmp_path}"]) == 0
    assert "elevation" not in json.loads((tmp_path / "x-7-held-out.json").read_text())


def test_an_artefact_without_a_training_record_is_evaluated_on_a_folder(
    version: Path, toys: Path, tmp_path: Path
) -> None:
    """Without a record there are no held-out images, but a folder of images can be used."""
    copy_with_metadata(version, tmp_path / "x" / "7", "training", None)
    assert main([str(tmp_path / "x" / "7"), f"--data={toys}", f"--to={tmp_path}"]) == 0
    assert json.loads((tmp_path / "x-7-folder-test.json").read_text())["images"] == 70


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*/*")), ids=lambda path: path.parent.name)
def test_a_shipped_model_can_be_read(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shipped model is recognised as an artefact of a public data set; only the data are missing here."""
    assert main([str(path), f"--root={tmp_path}"]) == 1
    assert "to download it: matcaps download" in capsys.readouterr().err


def test_the_calibration_of_an_artefact_is_that_of_its_own_activations(
    root: Path, version: Path, tmp_path: Path
) -> None:
    """The report counts all statements, and is named after the version and the suite."""
    assert main(["calibration", str(version), f"--root={root}", f"--to={tmp_path}"]) == 0
    found = json.loads((tmp_path / "low-1-calibration-held-out.json").read_text())
    bins = found["reliability"]["as released"]
    assert sum(of["number"] for of in bins) == 5 * found["images"]
    mean = sum(of["number"] * of["activation"] for of in bins) / (5 * found["images"])
    of_classes = found["activations"]["as released"]
    assert mean == pytest.approx((of_classes["present"] + 4 * of_classes["absent"]) / 5, abs=1e-6)
    assert (tmp_path / "low-1-calibration-held-out.png").exists()
