"""A run's batches depend only on its configuration and the step, and processes split them."""

from dataclasses import replace

import pytest
import torch

from matcaps.model import tiny
from matcaps.training.config import AugmentationConfig, OptimisationConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.loader import Batch, BatchLoader
from matcaps.training.data.negatives import NOTHING
from tests.support.options import tiny_run

CPU = torch.device("cpu")
CONFIG = tiny_run(optimisation=OptimisationConfig(epochs=2, batch_size=4))


def numbered(count: int = 14) -> ImageSet:
    """Uniform images whose grey level is their number."""
    greys = torch.arange(count, dtype=torch.uint8)
    images = greys[:, None, None, None].expand(-1, 1, 24, 24).contiguous()
    return ImageSet("numbered", tiny().classes, images, torch.arange(count) % 3)


def numbers_of(loader: BatchLoader, step: int) -> list[int]:
    """The numbers of a step's images."""
    return [round(grey) for grey in greys(loader(step))]


def greys(batch: Batch) -> list[float]:
    """The grey levels of a batch's uniform images."""
    return [float(grey) for grey in batch.images[:, 0, 0, 0]]


def test_an_epoch_shows_each_image_once() -> None:
    """Each epoch has an order of its own, and leaves out the images that do not fill a batch."""
    loader = BatchLoader(CONFIG, numbered(), CPU)
    assert (loader.steps_per_epoch, loader.steps) == (3, 6)
    epochs = [[number for step in range(first, first + 3) for number in numbers_of(loader, step)] for first in (0, 3)]
    assert [len(set(numbers)) for numbers in epochs] == [12, 12]
    assert epochs[0] != epochs[1]


def test_a_batch_depends_only_on_its_step() -> None:
    """A loader that fetched other batches before returns the same one."""
    one, other = (BatchLoader(CONFIG, numbered(), CPU) for _ in range(2))
    for step in range(5):
        one(step)
    for found, expected in zip(other(5), one(5), strict=True):
        assert torch.equal(found, expected)


def test_labels_are_those_of_the_images() -> None:
    """Without mixup each image is its own partner."""
    batch = BatchLoader(CONFIG, numbered(), CPU)(1)
    assert torch.equal(batch.images[:, 0, 0, 0].round().long() % 3, batch.labels)
    assert torch.equal(batch.labels, batch.partner_labels)
    assert batch.share == 1.0


def test_mixed_images_have_the_labels_of_both_parts() -> None:
    """Each image is a mean of its own number and its partner's, by the share, with the labels of both."""
    batch = BatchLoader(replace(CONFIG, augmentation=AugmentationConfig(mixup=1.0)), numbered(), CPU)(1)
    share, own = float(batch.share), numbers_of(BatchLoader(CONFIG, numbered(), CPU), 1)
    assert 0.05 < share < 0.95
    partners = [(grey - share * number) / (1.0 - share) for grey, number in zip(greys(batch), own, strict=True)]
    assert sorted(map(round, partners)) == sorted(own)
    assert batch.labels.tolist() == [number % 3 for number in own]
    assert batch.partner_labels.tolist() == [round(number) % 3 for number in partners]
    assert batch.partner_labels.tolist() != batch.labels.tolist()


def test_processes_split_a_batch() -> None:
    """Two processes get one half each, together the batch of one process."""
    whole = numbers_of(BatchLoader(CONFIG, numbered(), CPU), 2)
    halves = [numbers_of(BatchLoader(CONFIG, numbered(), CPU, rank, 2), 2) for rank in range(2)]
    assert [len(half) for half in halves] == [2, 2]
    assert sorted(halves[0] + halves[1]) == sorted(whole)


def test_a_batch_must_split_evenly() -> None:
    """A batch size that is not a multiple of the number of processes is rejected."""
    with pytest.raises(ValueError, match="--batch-size must be a multiple of the 3 processes, got 4"):
        BatchLoader(CONFIG, numbered(), CPU, 0, 3)


def test_a_share_of_each_batch_shows_nothing() -> None:
    """With a share of a half, two of four images are pictures of nothing; the others are the same as without."""
    config = replace(CONFIG, augmentation=AugmentationConfig(negatives=0.5))
    loader, without = BatchLoader(config, numbered(), CPU), BatchLoader(CONFIG, numbered(), CPU)
    assert (loader.positives, without.positives) == (2, 4)
    for step in range(3):
        batch, plain = loader(step), without(step)
        assert batch.labels.tolist() == [NOTHING, NOTHING, *plain.labels.tolist()[2:]]
        assert torch.equal(batch.partner_labels, batch.labels)
        assert torch.equal(batch.images[2:], plain.images[2:])
    assert torch.equal(loader(1).images, BatchLoader(config, numbered(), CPU)(1).images)


def test_a_batch_needs_an_image_with_a_class() -> None:
    """A share that rounds to the whole batch is refused."""
    with pytest.raises(ValueError, match="leaves no image of 4 with a class"):
        BatchLoader(replace(CONFIG, augmentation=AugmentationConfig(negatives=0.9)), numbered(), CPU)
