"""The batches of a run, each a function of the configuration and the step.

The order of an epoch's images and the augmentation of each batch come from generators that are seeded by the run's
seed and the number of the epoch or step. So a resumed run continues exactly as if it had not been interrupted.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from matcaps.training.config import TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.augmentation import Augment, mix, require_colours
from matcaps.training.data.negatives import NOTHING, pictures_of_nothing


class Batch(NamedTuple):
    """The inputs of a step, on the network's device."""

    images: Tensor
    """[batch, channel, row, column] of pixels in 0–255"""
    labels: Tensor
    """int64 [batch]; NOTHING for pictures of nothing"""
    partner_labels: Tensor
    """int64 [batch]: labels of the images that these are mixed with"""
    share: Tensor
    """float32 []: weight of an image's own label"""
    margin: Tensor
    """float32 []: margin of the spread loss"""


class BatchLoader:
    """Yields the batch of each step of a run; with several processes each gets its share of the batch.

    Args:
        config: Configuration of the run.
        training: The training images; they are copied to the device.
        device: Device of the batches.
        rank: Number of this process, from 0.
        world: Number of processes.

    Attributes:
        steps_per_epoch: Batches per epoch; images that do not fill a batch are left out of the epoch.
        steps: Steps of the whole run.
        positives: Images of each batch of this process that show a class; the others are pictures of nothing.

    Raises:
        ValueError: The batch size is not a multiple of the number of processes, all images would be negatives, or hue
            or saturation is to change images without colours.
    """

    def __init__(
        self, config: TrainConfig, training: ImageSet, device: torch.device, rank: int = 0, world: int = 1
    ) -> None:
        batch_size = config.optimisation.batch_size
        if batch_size % world:
            raise ValueError(f"--batch-size must be a multiple of the {world} processes, got {batch_size}")
        require_colours(training.images, config.augmentation)
        self._config, self._batch_size = config, batch_size
        self._device, self._rank, self._world = device, rank, world
        self._augment = Augment(config.network.crop_size, config.augmentation)
        self._images, self._labels = training.images.to(device), training.labels.to(device)
        self.steps_per_epoch = len(training) // batch_size
        self.steps = config.optimisation.epochs * self.steps_per_epoch
        rows = batch_size // world
        self._negatives = round(config.augmentation.negatives * rows)
        self.positives = rows - self._negatives
        if not self.positives:
            raise ValueError(f"--negatives {config.augmentation.negatives:g} leaves no image of {rows} with a class")
        self._epoch, self._order = -1, torch.empty(0)

    def __call__(self, step: int) -> Batch:
        """The batch of a step, or this process's share of it; also seeds the draws of dropout."""
        config = self._config
        epoch, batch_of_epoch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self._images), generator=_generator(config.seed, 0, epoch))
            self._epoch, self._order = epoch, order.to(self._device)
        start = batch_of_epoch * self._batch_size
        rows = self._order[start : start + self._batch_size][self._rank :: self._world]
        draws = _generator(config.seed, 1 + self._rank, step)
        torch.manual_seed(draws.initial_seed())  # dropout draws from torch's global generator
        images, labels = self._images[rows], self._labels[rows]
        if self._negatives:
            images[: self._negatives] = pictures_of_nothing(images[: self._negatives], draws)
            labels[: self._negatives] = NOTHING
        mixture = mix(self._augment(images, draws), config.augmentation.mixup, draws)
        numbers = torch.tensor([mixture.share, config.loss.margin_at(step / self.steps)])
        share, margin = numbers.to(self._device, non_blocking=True)
        return Batch(mixture.images, labels, labels[mixture.partners], share, margin)


def _generator(*numbers: int) -> torch.Generator:
    """A generator with a seed of its own for each tuple of numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number * 1442695040888963407 + 1) % 2**63
    return torch.Generator().manual_seed(seed)
