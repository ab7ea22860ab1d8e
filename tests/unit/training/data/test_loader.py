"""A run's batches depend on its configuration and the step alone, and workers share them out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from matcaps.model import tiny
from matcaps.training.config import TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.loader import BatchLoader
from matcaps.training.engine.distributed import Worker
from matcaps.training.engine.step import Batch

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    data="shapes",
    network=tiny(),
    run_folder=Path("nowhere"),
    epochs=2,
    batch_size=4,
    brightness=0.0,
    contrast=(1.0, 1.0),
)


def numbered(count: int = 14) -> ImageSet:
    """Even images, each of the grey level that is its number."""
    greys = torch.arange(count, dtype=torch.uint8)
    images = greys[:, None, None, None].expand(-1, 1, 24, 24).contiguous()
    return ImageSet("numbered", tiny().classes, images, torch.arange(count) % 3)


def seen(feed: BatchLoader, step: int) -> list[int]:
    """The numbers of a step's images."""
    return [round(grey) for grey in greys(feed(step))]


def greys(batch: Batch) -> list[float]:
    """The grey levels of a batch's even images."""
    return [float(grey) for grey in batch.images[:, 0, 0, 0]]


def test_an_epoch_shows_each_image_once() -> None:
    """In an order of its own, but for those that do not fill a batch."""
    feed = BatchLoader(CONFIG, numbered(), Worker(0, 1, CPU))
    assert (feed.steps_per_epoch, feed.steps) == (3, 6)
    epochs = [[number for step in range(first, first + 3) for number in seen(feed, step)] for first in (0, 3)]
    assert [len(set(numbers)) for numbers in epochs] == [12, 12]
    assert epochs[0] != epochs[1]


def test_a_batch_is_that_of_its_step() -> None:
    """Whatever was fetched before: a run that was killed goes on with the batch that is next."""
    one, other = (BatchLoader(CONFIG, numbered(), Worker(0, 1, CPU)) for _ in range(2))
    for step in range(5):
        one(step)
    for found, expected in zip(other(5), one(5), strict=True):
        assert torch.equal(found, expected)


def test_labels_are_those_of_the_images() -> None:
    """Of an image itself, and of its partner, which is itself where nothing is mixed."""
    batch = BatchLoader(CONFIG, numbered(), Worker(0, 1, CPU))(1)
    assert torch.equal(batch.images[:, 0, 0, 0].round().long() % 3, batch.labels)
    assert torch.equal(batch.labels, batch.partner_labels)
    assert batch.share == 1.0


def test_a_mixture_knows_its_parts() -> None:
    """Each image is the share of its own number and the rest of its partner's, and the labels are theirs."""
    batch = BatchLoader(replace(CONFIG, mixup=1.0), numbered(), Worker(0, 1, CPU))(1)
    share, own = float(batch.share), seen(BatchLoader(CONFIG, numbered(), Worker(0, 1, CPU)), 1)
    assert 0.05 < share < 0.95
    partners = [(grey - share * number) / (1.0 - share) for grey, number in zip(greys(batch), own, strict=True)]
    assert sorted(map(round, partners)) == sorted(own)
    assert batch.labels.tolist() == [number % 3 for number in own]
    assert batch.partner_labels.tolist() == [round(number) % 3 for number in partners]
    assert batch.partner_labels.tolist() != batch.labels.tolist()


def test_workers_share_a_batch() -> None:
    """Two of them see half of it each, together what one would see."""
    whole = seen(BatchLoader(CONFIG, numbered(), Worker(0, 1, CPU)), 2)
    halves = [seen(BatchLoader(CONFIG, numbered(), Worker(rank, 2, CPU)), 2) for rank in range(2)]
    assert [len(half) for half in halves] == [2, 2]
    assert sorted(halves[0] + halves[1]) == sorted(whole)


def test_shares_are_equal() -> None:
    """A batch that the workers cannot part evenly would count some images more than others."""
    with pytest.raises(ValueError, match="batches of 4 images cannot be shared by 3 processes"):
        BatchLoader(CONFIG, numbered(), Worker(0, 3, CPU))
