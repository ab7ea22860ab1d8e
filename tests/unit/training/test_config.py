"""Options are validated at construction, survive a checkpoint as JSON, and are compared by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matcaps.training.config import (
    AugmentationConfig,
    DataConfig,
    LossConfig,
    OptimisationConfig,
    differences,
    from_json,
    resolved,
    to_json,
)
from matcaps.training.recipes import DESCRIPTIONS, RECIPES


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        (DataConfig, {"name": "mnist", "held_out_rows": 0}, "held_out_rows must be at least 1, got 0"),
        (
            DataConfig,
            {"name": "smallnorb", "held_out_instances": ()},
            "names no instance; to hold out none, write None; got ()",
        ),
        (DataConfig, {"name": "smallnorb", "held_out_instances": (7, 4, 7)}, "instances must differ, got 7, 4, 7"),
        (DataConfig, {"name": "mnist", "validation": Path("v")}, "for your own images, but data is mnist; got v"),
        (DataConfig, {"name": "smallnorb", "elevations": (0,), "lightings": (1,)}, "elevations or lightings, not both"),
        (AugmentationConfig, {"shift": -1}, "shift must not be negative, got -1"),
        (AugmentationConfig, {"brightness": -2.0}, "brightness must not be negative, got -2.0"),
        (AugmentationConfig, {"mixup": -1.0}, "mixup must not be negative, got -1.0"),
        (AugmentationConfig, {"contrast": (1.5, 0.5)}, "contrast must be a range of positive factors, got (1.5, 0.5)"),
        (AugmentationConfig, {"contrast": (0.0, 0.5)}, "contrast must be a range of positive factors, got (0.0, 0.5)"),
        (AugmentationConfig, {"warp": 0.5}, "or shapes would fold, got 0.5"),
        (AugmentationConfig, {"rotation": 270.0}, "between 0 and 180 degrees, got 270.0"),
        (AugmentationConfig, {"elastic": 2.5}, "or many shapes would fold, got 2.5"),
        (OptimisationConfig, {"epochs": 0}, "epochs must be at least 1, got 0"),
        (OptimisationConfig, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (OptimisationConfig, {"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        (OptimisationConfig, {"gradient_clip": -1.0}, "gradient_clip must be above 0, got -1.0"),
        (OptimisationConfig, {"weight_decay": -1.0}, "weight_decay must not be negative, got -1.0"),
        (OptimisationConfig, {"warmup_share": 1.0}, "warmup_share must lie between 0 and 1, got 1.0"),
        (OptimisationConfig, {"average_share": 1.0}, "average_share must lie in [0, 1), got 1.0"),
        (LossConfig, {"margin_share": 0.0}, "margin_share must lie between 0 and 1, got 0.0"),
        (LossConfig, {"label_smoothing": 1.0}, "label_smoothing must lie in [0, 1), got 1.0"),
        (LossConfig, {"first_margin": 0.95}, "margins must rise within (0, 1], got 0.95 to 0.9"),
    ],
)
def test_an_option_out_of_range_is_rejected(group: Any, values: dict[str, Any], words: str) -> None:
    """The error names the option and the value."""
    with pytest.raises(ValueError, match=r"got") as error:
        group(**values)
    assert words in str(error.value)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    """A configuration that went through a checkpoint is equal to itself."""
    assert from_json(json.loads(json.dumps(to_json(RECIPES[name])))) == RECIPES[name]


def test_a_configuration_from_before_the_competition_shares_children_among_all_parents() -> None:
    """A run that began before the option existed resumes, and means what it meant."""
    saved = to_json(RECIPES["mnist"])
    del saved["network"]["routing"]["competition"]
    assert from_json(saved) == RECIPES["mnist"]


def test_a_damaged_configuration_is_rejected() -> None:
    """Values of a checkpoint are validated as those of the command line are."""
    saved = to_json(RECIPES["mnist"])
    saved["optimisation"]["epochs"] = 0
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        from_json(saved)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_describes_itself(name: str) -> None:
    """Its run's folder has its name, and its help is one line."""
    assert RECIPES[name].run.folder == Path("runs") / name
    assert 20 < len(DESCRIPTIONS[name]) < 120


def test_differences_have_the_names_of_the_options() -> None:
    """They name every option that differs, with both values, except where and how the run is executed."""
    mnist = RECIPES["mnist"]
    routing = replace(mnist.network.routing, iterations=2, competition="positions")
    other = replace(
        mnist,
        network=replace(mnist.network, routing=routing),
        loss=LossConfig("spread", label_smoothing=0.1),
        optimisation=replace(mnist.optimisation, epochs=3),
        run=replace(mnist.run, precision="float32", keep_epochs=True),
    )
    assert differences(mnist, other) == {
        "epochs": (20, 3),
        "loss": ("cross-entropy", "spread"),
        "network.routing.competition": ("parents", "positions"),
        "network.routing.iterations": (3, 2),
    }
    assert differences(mnist, mnist) == {}


def test_a_folder_of_images_has_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is resolved; the name of a public data set is unchanged."""
    monkeypatch.chdir(tmp_path)
    folder = RECIPES["folder"]
    assert resolved(replace(folder, data=DataConfig("toys"))).data.name == str(tmp_path / "toys")
    assert resolved(RECIPES["mnist"]) == RECIPES["mnist"]
