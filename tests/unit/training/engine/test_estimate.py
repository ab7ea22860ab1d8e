"""A run says what it needs before it starts, and is not changed by the measurement."""

from dataclasses import replace

import pytest
import torch

from matcaps.training.config import OptimisationConfig, TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.loader import BatchLoader
from matcaps.training.engine.estimate import Estimate, describe_estimate, estimate
from matcaps.training.engine.state import State
from tests.support.options import tiny_run

CPU = torch.device("cpu")


def images_of(count: int) -> ImageSet:
    """Noise of three classes."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 24, 24), dtype=torch.uint8)
    return ImageSet("noise", ("circle", "square", "triangle"), pixels, torch.arange(count) % 3)


def run_of(epochs: int, batch_size: int = 8) -> tuple[TrainConfig, BatchLoader]:
    """A run on 24 images."""
    config = tiny_run(optimisation=OptimisationConfig(epochs=epochs, batch_size=batch_size))
    return config, BatchLoader(config, images_of(24), CPU)


@pytest.mark.parametrize("held_out", [0, 100])
def test_an_estimate_is_positive(held_out: int) -> None:
    """Time, memory and the number of parameters; a run that holds nothing out has them too."""
    config, loader = run_of(epochs=2)
    found = estimate(config, loader, images_of(held_out), CPU)
    assert 0.0 < found.epoch_s < 60.0
    assert 50e6 < found.memory < 50e9
    assert found.parameters == sum(values.numel() for values in State(config, 9, CPU).network.parameters())


def test_the_shortest_run_can_be_measured() -> None:
    """A run of two steps has one that is measured."""
    config, loader = run_of(epochs=2, batch_size=24)
    short = replace(config, optimisation=replace(config.optimisation, warmup_share=0.6))
    assert estimate(short, loader, images_of(0), CPU).epoch_s > 0.0


def test_the_run_is_not_changed() -> None:
    """Initial weights and batches are those of a run that was not measured."""
    config, loader = run_of(epochs=3)
    expected, batch = State(config, loader.steps, CPU).network.state_dict(), loader(0)
    estimate(config, loader, images_of(3), CPU)
    found = State(config, loader.steps, CPU).network.state_dict()
    assert all(found[name].equal(values) for name, values in expected.items())
    assert loader(0).images.equal(batch.images)


def test_the_lines_say_how_they_were_measured() -> None:
    """They have the sizes, the times of an epoch and of the run, and the memory."""
    config, loader = run_of(epochs=60)
    network = replace(config.network, resolution=18)
    lines = describe_estimate(Estimate(30.0, 1_440_000_000, 1234), replace(config, network=network), loader)
    assert lines.splitlines() == [
        "network: 1,234 parameters; images of 24×24, of which it sees the centre 20×20, shrunk to 18×18",
        "about 30 s per epoch, 30 min for 60 epochs, and 1.4 GB of memory: measured by steps of a network that is "
        "thrown away",
    ]


def test_a_run_of_few_steps_is_warned_of() -> None:
    """The warning names enough epochs."""
    config, loader = run_of(epochs=49)
    warning = describe_estimate(Estimate(1.0, 1, 1), config, loader).splitlines()[2]
    assert warning.startswith("warning: 147 steps in all, and fewer than 150 rarely suffice; --epochs 50 takes as many")
