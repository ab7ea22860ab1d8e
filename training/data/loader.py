"""The batches of a run, each a function of the configuration and the step.

The order of an epoch's images and the augmentation of each batch come from generators that are seeded by the run's
seed and the number of the epoch or step. So a resumed run continues exactly as if it had not been interrupted.
"""

import torch

from matcaps.training.config import TrainConfig
from matcaps.training.data import ImageSet
from matcaps.training.data.augmentation import Augment, mix
from matcaps.training.engine.distributed import Worker
from matcaps.training.engine.loss import margin_at
from matcaps.training.engine.step import Batch


class BatchLoader:
    """Yields a worker's share of the batch at each step of a run.

    Attributes:
        steps_per_epoch: Batches per epoch; images that do not fill a batch are left out of the epoch.
        steps: Steps of the whole run.

    Raises:
        ValueError: The batch size is not a multiple of the number of workers.
    """

    def __init__(self, config: TrainConfig, training: ImageSet, worker: Worker) -> None:
        batch_size = config.optimisation.batch_size
        if batch_size % worker.world:
            raise ValueError(f"--batch-size must be a multiple of the {worker.world} processes, got {batch_size}")
        self._config, self._worker, self._batch_size = config, worker, batch_size
        self._augment = Augment(config.network.crop_size, config.augmentation)
        self._images, self._labels = training.images.to(worker.device), training.labels.to(worker.device)
        self.steps_per_epoch = len(training) // batch_size
        self.steps = config.optimisation.epochs * self.steps_per_epoch
        self._epoch, self._order = -1, torch.empty(0)

    def __call__(self, step: int) -> Batch:
        """The worker's share of a step's batch; it also seeds the draws of dropout."""
        config, worker = self._config, self._worker
        epoch, batch_of_epoch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self._images), generator=_generator(config.seed, 0, epoch))
            self._epoch, self._order = epoch, order.to(worker.device)
        start = batch_of_epoch * self._batch_size
        rows = self._order[start : start + self._batch_size][worker.rank :: worker.world]
        draws = _generator(config.seed, 1 + worker.rank, step)
        torch.manual_seed(draws.initial_seed())  # dropout draws from torch's global generator
        mixture = mix(self._augment(self._images[rows], draws), config.augmentation.mixup, draws)
        labels = self._labels[rows]
        numbers = torch.tensor([mixture.share, margin_at(step / self.steps, config.loss)])
        share, margin = numbers.to(worker.device, non_blocking=True)
        return Batch(mixture.images, labels, labels[mixture.partners], share, margin)


def _generator(*numbers: int) -> torch.Generator:
    """A generator with a seed of its own for each tuple of numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number * 1442695040888963407 + 1) % 2**63
    return torch.Generator().manual_seed(seed)
