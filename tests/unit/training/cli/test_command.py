"""Every command explains itself, and prints one line per error."""

from pathlib import Path

import pytest

from matcaps.cli import main


@pytest.mark.parametrize(
    "command",
    ["download", "train", "train smallnorb", "evaluate", "evaluate standard", "evaluate folds", "release"],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` prints the usage of the command with its whole name, and ends with status 0."""
    assert main([*command.split(), "--help"]) == 0
    assert f"usage: matcaps {command} " in capsys.readouterr().out


def test_train_lists_every_recipe_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    """The recipes are described by the heads of their files."""
    assert main(["train", "--help"]) == 0
    listing = capsys.readouterr().out
    assert "MNIST: the small network" in listing
    assert "smallnorb-stereo-small" in listing


def test_the_options_of_train_are_grouped(capsys: pytest.CaptureFixture[str]) -> None:
    """Each group has a title, and the names of its options have no prefix."""
    assert main(["train", "mnist", "--help"]) == 0
    listing = capsys.readouterr().out
    for group in ("data", "network", "run", "augmentation", "optimisation", "loss"):
        assert f" {group} options " in listing
    for option in ("--held-out-instances", "--elastic", "--epochs", "--loss", "--run-folder", "--network.batch-norm"):
        assert option in listing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train", "Missing subcommand"),
        ("train mnist --epochs many", "--epochs"),
        ("train mnist --epochs 0", "epochs must be at least 1, got 0"),
        ("train mnist --average-share 1", "average_share must lie in [0, 1), got 1.0"),
        ("train mnist --warp 0.7", "or shapes would fold, got 0.7"),
        ("train mnist --elevations 0 --lightings 1", "elevations or lightings, not both"),
        ("train mnist --network.routing.iterations 0", "iterations must be at least 1, got 0"),
        ("train mnist --network.routing.competition types", "--network.routing.competition"),
        ("train mnist --colour red", "--colour"),
        ("download imagenet", "imagenet"),
        ("release x", "--name"),
        ("release --name x", "RUN"),
        ("evaluate", "TARGET"),
        ("evaluate --split test", "TARGET"),
        ("evaluate folds x --split test", "--split"),
        ("evaluate standard x --images 5", "--images"),
    ],
)
def test_bad_options_are_one_line(arguments: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad option ends with status 2 and one line that names it."""
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert words in captured.err


@pytest.mark.parametrize("suite", ["", "standard", "viewpoint", "adversarial", "poses", "routing"])
def test_evaluate_rejects_a_folder_without_a_run_or_artefact(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds neither a run nor an artefact ends with status 1 and one line."""
    assert main(["evaluate", *suite.split(), str(tmp_path)]) == 1
    expected = f"matcaps: neither a run (last.pt) nor a released artefact (model.onnx) at {tmp_path}\n"
    assert capsys.readouterr().err == expected


def test_an_interrupted_command_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends training with status 130 and one line that says how to continue."""

    def interrupt(config: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("matcaps.training.cli.train.train", interrupt)
    assert main(["train", "mnist"]) == 130
    assert capsys.readouterr().err == "matcaps: interrupted; --resume continues from the last checkpoint\n"
