"""A training record has the recipe as flat values, what was held out, and the error."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro

from matcaps.training.cli import train
from matcaps.training.config import TrainConfig, differences
from matcaps.training.evaluation.metrics import Evaluation
from matcaps.training.paths import PATHS
from matcaps.training.recipes import RECIPES
from matcaps.training.release.record import EvaluatedRun, training_command, training_record

SAVED: dict[str, Any] = {"progress": {"step": 42}, "commit": "0123456789ab"}


def smallnorb(instances: tuple[int, ...] | None, seed: int = 0, elevations: tuple[int, ...] = ()) -> TrainConfig:
    """A run of smallnorb with held-out instances, a seed and elevations."""
    recipe = RECIPES["smallnorb"]
    return replace(recipe, data=replace(recipe.data, held_out_instances=instances, elevations=elevations), seed=seed)


def evaluated(config: TrainConfig, error: float, images: int) -> EvaluatedRun:
    """A run with an error on a number of held-out images."""
    instances = config.data.held_out_instances or ()
    by_instance = {("car", instance): error for instance in instances if config.data.name == "smallnorb"}
    confusion = torch.zeros(5, 5, dtype=torch.int64)
    return EvaluatedRun(config, Evaluation(images, error, (0.0, 1.0), confusion, by_instance))


def test_the_options_are_flat() -> None:
    """Every option of the recipe is a key of its own, and the options of the run's folder are not in it."""
    record = training_record(RECIPES["fashion-mnist"], SAVED, [evaluated(RECIPES["fashion-mnist"], 0.06, 10_000)])
    assert {name: record[name] for name in ("data_set", "seed", "steps", "epochs", "batch_size", "loss", "mirror")} == {
        "data_set": "fashion-mnist",
        "seed": 0,
        "steps": 42,
        "epochs": 22,
        "batch_size": 32,
        "loss": "cross-entropy",
        "mirror": True,
    }
    assert (record["label_smoothing"], record["average_share"], record["warp"]) == (0.1, 0.1, 0.0)
    assert (record["crop_size"], record["resolution"], record["residual_blocks"]) == (28, 28, 1)
    assert (record["routing"]["density_temperature"], record["routing"]["competition"]) == (4.0, "parents")
    assert record["commit"] == "0123456789ab"
    assert not {"name", "kind", "folder", "root", "resume", "device", "classes", "channels"} & record.keys()


def test_rows_that_were_held_out() -> None:
    """Of MNIST the record has their number and seed."""
    record = training_record(RECIPES["mnist"], SAVED, [evaluated(RECIPES["mnist"], 0.0036, 10_000)])
    assert record["protocol"] == "10000 images held out, drawn by seed 0"
    assert (record["held_out_instances"], record["validation_images"]) == (None, 10_000)
    assert record["validation_error"] == 0.0036


def test_instances_that_were_held_out() -> None:
    """Of smallNORB the record has the instances, and the elevations of the training if it had some only."""
    run = smallnorb((7,), elevations=(0, 1, 2))
    record = training_record(run, SAVED, [evaluated(run, 0.1, 4860)])
    assert record["protocol"] == "instance 7 of each category held out; trained on elevations 0, 1, 2 alone"
    assert (record["held_out_instances"], record["elevations"]) == ([7], [0, 1, 2])
    several = smallnorb((9, 7))
    record = training_record(several, SAVED, [evaluated(several, 0.1, 9720)])
    assert record["protocol"] == "instances 7, 9 of each category held out"
    assert record["held_out_instances"] == [7, 9]


def test_nothing_was_held_out() -> None:
    """A final model without other runs has no error."""
    record = training_record(smallnorb(None), SAVED, [])
    assert record["protocol"] == "all instances, nothing held out"
    assert record["validation_error"] is None
    assert record["validation_images"] == 0


@pytest.mark.parametrize(
    ("runs", "error", "images", "words"),
    [
        ([((4,), 0)], 0.1, 100, "the same recipe with instance 4 held out"),
        ([((4,), 0), ((9,), 0)], 0.25, 400, "the same recipe with instances 4, 9, one at a time, held out"),
        ([((4,), 1), ((9,), 1), ((4,), 2), ((9,), 2)], 0.25, 400, "one at a time, held out, the mean of seeds 1, 2"),
        ([((4, 9), 0)], 0.2, 200, "the same recipe with instances 4, 9 held out"),
        (
            [((4, 9), 0), ((4, 6), 0), ((6, 9), 0)],
            0.2,
            600,
            "with instances 4, 6; 4, 9; 6, 9, by one run each, held out",
        ),
    ],
)
def test_a_final_model_has_the_error_of_other_runs(
    runs: list[tuple[tuple[int, ...], int]], error: float, images: int, words: str
) -> None:
    """It is the error over all their images, and the images of one seed are counted."""
    errors: dict[tuple[int, ...], tuple[float, int]] = {(4,): (0.1, 100), (9,): (0.3, 300)}
    others = [evaluated(smallnorb(way, seed), *errors.get(way, (0.2, 200))) for way, seed in runs]
    record = training_record(smallnorb(None), SAVED, others)
    assert record["protocol"].endswith(words)
    assert record["validation_error"] == pytest.approx(error)
    assert record["validation_images"] == images
    assert record["held_out_instances"] is None


def test_a_folder_is_named_without_its_path() -> None:
    """The path of a folder of images is private."""
    folder = replace(RECIPES["folder"], data=replace(RECIPES["folder"].data, name=str(Path("/home/me/pets"))))
    assert training_record(folder, SAVED, [])["data_set"] == "folder pets"


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (RECIPES["mnist"], "mnist"),
        (smallnorb(None), "smallnorb --held-out-instances None"),
        (smallnorb((9, 4), seed=3), "smallnorb --held-out-instances 4 9 --seed 3"),
        (
            replace(
                RECIPES["smallnorb-stereo"], network=replace(RECIPES["smallnorb-stereo"].network, batch_norm=False)
            ),
            "smallnorb-stereo --network.no-batch-norm",
        ),
        (
            replace(RECIPES["mnist"], augmentation=replace(RECIPES["mnist"].augmentation, mirror=True, negatives=0.1)),
            "mnist --mirror --negatives 0.1",
        ),
    ],
)
def test_the_command_trains_by_the_same_configuration(config: TrainConfig, options: str) -> None:
    """It is the closest recipe and what differs from it; the command line reads it back."""
    command = training_command(config)
    assert command == f"matcaps train {options}"
    parsed = tyro.cli(train.Recipe, args=shlex.split(command)[2:], registry=PATHS)
    assert not differences(config, parsed)
    assert training_record(config, SAVED, [])["command"] == command


def test_the_command_of_a_folder_names_it_without_its_path() -> None:
    """The names of its classes are those of its folders."""
    pets = RECIPES["folder"]
    network = replace(pets.network, classes=("cat", "dog"))
    folder = replace(pets, data=replace(pets.data, name="/home/me/my pets"), network=network)
    assert training_command(folder) == "matcaps train folder --data 'my pets'"
