"""The batches of a run. Each is a function of the configuration and the step: nothing else has to be remembered.

The order of an epoch's images and each batch's augmentation come from generators seeded by the run's seed and
the epoch's or the step's number, so that a run that was killed goes on as if it had not been.
"""

import torch

from matcaps.training.config import TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.augmentation import mix
from matcaps.training.engine.distributed import Worker
from matcaps.training.engine.loss import margin_at
from matcaps.training.engine.step import Batch


class BatchLoader:
    """What a worker learns from at each step of a run.

    Attributes:
        steps_per_epoch: Batches of an epoch; images that do not fill one are left to the next epoch's order.
        steps: Of the whole run.

    Raises:
        ValueError: The workers cannot have equal shares of a batch.
    """

    def __init__(self, config: TrainConfig, training: ImageSet, worker: Worker) -> None:
        if config.batch_size % worker.world:
            raise ValueError(f"batches of {config.batch_size} images cannot be shared by {worker.world} processes")
        self._config, self._worker, self._augment = config, worker, config.augment()
        self._images, self._labels = training.images.to(worker.device), training.labels.to(worker.device)
        self.steps_per_epoch = len(training) // config.batch_size
        self.steps = config.epochs * self.steps_per_epoch
        self._epoch, self._order = -1, torch.empty(0)

    def __call__(self, step: int) -> Batch:
        """The worker's share of a step's batch; draws for dropout are seeded as well."""
        config, worker = self._config, self._worker
        epoch, batch_of_epoch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self._images), generator=_generator(config.seed, 0, epoch))
            self._epoch, self._order = epoch, order.to(worker.device)
        start = batch_of_epoch * config.batch_size
        rows = self._order[start : start + config.batch_size][worker.rank :: worker.world]
        draws = _generator(config.seed, 1 + worker.rank, step)
        torch.manual_seed(draws.initial_seed())  # dropout draws from the generator that all share
        mixture = mix(self._augment(self._images[rows], draws), config.mixup, draws)
        labels = self._labels[rows]
        numbers = torch.tensor([mixture.share, margin_at(step / self.steps, config)])
        share, margin = numbers.to(worker.device, non_blocking=True)
        return Batch(mixture.images, labels, labels[mixture.partners], share, margin)


def _generator(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number * 1442695040888963407 + 1) % 2**63
    return torch.Generator().manual_seed(seed)
