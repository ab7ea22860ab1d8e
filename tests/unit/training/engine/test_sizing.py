"""The sizes of a run's network come from its options, its checkpoint, its start, or its pictures, in this order."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from matcaps.model import CapsNet, CapsNetConfig, tiny
from matcaps.training.config import FOLDER_CLASSES, TrainConfig
from matcaps.training.engine.sizing import decide_network
from matcaps.training.engine.start import Start
from matcaps.training.recipes import RECIPES
from matcaps.training.sizes import UNDECIDED


@pytest.fixture
def recipe(tmp_path: Path) -> TrainConfig:
    """The recipe folder for two pictures of 70×200 pixels."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("L", (70, 200)).save(tmp_path / name / "1.png")
    return replace(RECIPES["folder"], data=replace(RECIPES["folder"].data, name=str(tmp_path)))


def decide(config: TrainConfig, start: Start | None = None, saved: CapsNetConfig | None = None) -> CapsNetConfig:
    """The network that is decided on."""
    return decide_network(config, start, saved).network


def test_the_pictures_decide(recipe: TrainConfig) -> None:
    """By --size large they are 64×64."""
    assert decide(recipe) == UNDECIDED
    large = decide(replace(recipe, size="large"))
    assert (large.image_size, large.primary_types) == (64, 32)


def test_named_sizes_count_and_exclude_a_large_size(recipe: TrainConfig) -> None:
    """Options of the network's size are taken as they are; --size None takes all of them."""
    named = replace(recipe, network=replace(UNDECIDED, image_size=56))
    assert decide(named) == named.network
    with pytest.raises(ValueError, match=r"--size large decides the sizes of the network; leave it out, or"):
        decide(replace(named, size="large"))
    assert decide(replace(recipe, size=None)) == UNDECIDED


def test_the_start_decides(recipe: TrainConfig) -> None:
    """A run that starts from a trained network has its options; if another option is named, its sizes."""
    start = Start("other", "", CapsNet(replace(tiny(), batch_norm=False)))
    assert decide(recipe, start) == replace(start.network.config, classes=FOLDER_CLASSES)
    hard = replace(UNDECIDED, routing=replace(UNDECIDED.routing, iterations=2))
    found = decide(replace(recipe, network=hard), start)
    assert (found.image_size, found.routing.iterations, found.batch_norm) == (24, 2, True)


def test_a_checkpoint_decides(recipe: TrainConfig) -> None:
    """A resumed run has its own sizes, even if the pictures became larger or its start is gone."""
    saved = replace(tiny(), batch_norm=False)
    assert decide(recipe, saved=saved).image_size == 24
    assert decide(recipe, saved=saved).batch_norm
    for channels in (1, 3):  # the pictures are not asked again, and say nothing
        named = replace(recipe, network=replace(UNDECIDED, image_size=56))
        assert decide(named, saved=replace(saved, channels=channels)).channels == channels
    assert decide(replace(recipe, start_from=Path("x")), saved=saved) == replace(saved, classes=FOLDER_CLASSES)
