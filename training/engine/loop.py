"""The training loop. For each step: fetch, forward, loss, backward, clip, step, log."""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from matcaps.training.config import TrainConfig, at, differences, from_json, resolved
from matcaps.training.data import KNOWN, ImageSet
from matcaps.training.data.loader import BatchLoader
from matcaps.training.data.splits import completed, familiar, split
from matcaps.training.data.summary import describe
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.distributed import Worker, join
from matcaps.training.engine.estimate import describe_estimate, estimate
from matcaps.training.engine.logger import RunLogger
from matcaps.training.engine.predict import predict
from matcaps.training.engine.provenance import commit, fingerprint, require_images
from matcaps.training.engine.sizing import decide_network
from matcaps.training.engine.start import describe_start, open_start
from matcaps.training.engine.state import Progress, State
from matcaps.training.engine.step import Outcome, Step
from matcaps.training.writing import writing

LOG_EVERY = 50  # steps
GPU_STEPS_AHEAD = 10  # steps that a GPU may be ahead of the host, which reads their outcomes together


class NonFiniteError(RuntimeError):
    """A loss or a gradient is infinite or not a number: the step changed no weight, and nothing was saved after it."""


@dataclass(frozen=True)
class Training:
    """One process of a run, ready to start or to continue.

    Attributes:
        config: Configuration of the run.
        worker: This process among the processes of the run.
        loader: Batches of the training images.
        held_out: Held-out images at the elevations and lightings of the training; may be empty.
        state: Network, optimizer, schedule and progress.
        step: Takes one training step.
        commit: Commit of the code.
        images: Fingerprint of the split.
    """

    config: TrainConfig
    worker: Worker
    loader: BatchLoader
    held_out: ImageSet
    state: State
    step: Step
    commit: str
    images: str

    @property
    def last(self) -> Path:
        """The checkpoint that the run continues from."""
        return self.config.run.folder / "last.pt"

    def save(self, path: Path) -> None:
        """Write a checkpoint, in the main process only.

        Raises:
            WriteError: It cannot be written, or the run's folder was removed.
        """
        if self.worker.is_main:
            if self.state.progress.step:
                with writing(path):
                    path.parent.stat()  # with only a checkpoint, a folder made anew would lack the log
            self.state.save(path, self.commit, self.images)


def train(config: TrainConfig) -> Path:
    """Train a network and return the path of its last checkpoint.

    The last checkpoint is the result, since the learning rate falls to zero there. Choosing the best epoch by its
    held-out error would make that error too optimistic.

    Raises:
        ValueError: The data do not fit the network, the run is too short, its batches cannot be split among the
            processes, or the folder holds a run with other options.
        FileNotFoundError: The data are not there, or there is no checkpoint to resume from.
        FileExistsError: The folder holds a run, and it is not to be resumed.
        NonFiniteError: A loss or gradient is not finite.
    """
    with join(config.run.device) as worker:
        training = prepare(config, worker)
        fit(training)
        return training.last


def prepare(config: TrainConfig, worker: Worker) -> Training:
    """Load the data, and create the state of the run or restore it from its checkpoint."""
    config = resolved(config)
    saved = _saved_run(config)
    before = None if saved is None else _config_of(saved, config)
    start = open_start(config.start_from) if saved is None and config.start_from is not None else None
    config = decide_network(config, start, None if before is None else before.network)
    training, held_out = split(config)
    if worker.is_main and config.data.name not in KNOWN:
        print(describe(training, held_out))
    images = fingerprint(training, held_out)
    if len(held_out):
        held_out = held_out.subset(familiar(held_out, config))
    config = replace(config, network=completed(config.network, training))
    if saved is not None and before is not None:
        _require_the_same_run(before, config, saved["images"], images)
    loader = BatchLoader(config, training, worker.device, worker.rank, worker.world)
    if worker.is_main and saved is None and config.data.name not in KNOWN:
        print(describe_estimate(estimate(config, loader, held_out, worker.device), config, loader))
    state = State(config, loader.steps, worker.device)
    if saved is not None:
        with checkpoint.naming(config.run.folder / "last.pt"):
            state.restore(saved)
    elif start is not None:
        taken = state.start_from(start)
        if worker.is_main:
            print(describe_start(start, state.network, taken))
    model: nn.Module = state.network
    if worker.world > 1:
        model = DistributedDataParallel(model)
    step = Step(model, state.optimizer, state.schedule, state.average, config, capture=worker.world == 1)
    prepared = Training(config, worker, loader, held_out, state, step, commit(), images)
    if saved is None:
        prepared.save(prepared.last)  # so that a run that is killed early can be resumed too
    return prepared


def fit(training: Training) -> None:
    """Take the steps that are left of a run."""
    config, loader, state = training.config, training.loader, training.state
    steps_ahead = GPU_STEPS_AHEAD if training.worker.device.type == "cuda" else 1
    pending: list[Tensor] = []
    with RunLogger(config.run.folder, loader.steps, state.progress.step, active=training.worker.is_main) as logger:
        saved_at = began = time.monotonic()
        for step in range(state.progress.step, loader.steps):
            # fetch
            batch = loader(step)
            # forward, loss, backward, clip, step
            state.network.train()
            pending.append(training.step(batch))
            taken = step + 1
            epoch_ends = taken % loader.steps_per_epoch == 0
            if len(pending) < steps_ahead and not epoch_ends and taken % LOG_EVERY:
                continue
            # log
            outcomes = [Outcome(*values) for values in torch.stack(pending).tolist()]  # waits for the GPU
            pending.clear()
            now = time.monotonic()
            log_steps(training, outcomes, now - began, logger)
            began = now
            if epoch_ends:
                end_epoch(training, logger)
                saved_at = began = time.monotonic()
            elif now - saved_at > 60.0 * config.run.checkpoint_minutes:
                training.save(training.last)
                saved_at = time.monotonic()


def log_steps(training: Training, outcomes: list[Outcome], seconds: float, logger: RunLogger) -> None:
    """Add the outcomes of the latest steps to the progress, and log them.

    Raises:
        NonFiniteError: An outcome is not finite.
    """
    config, loader, state = training.config, training.loader, training.state
    batch_size = config.optimisation.batch_size
    progress = state.progress
    for latest in outcomes:
        if not all(map(math.isfinite, latest)):
            raise NonFiniteError(
                f"step {progress.step}: loss {latest.loss}, gradient norm {latest.gradient_norm}; the last checkpoint "
                f"is {training.last}. A lower --learning-rate or a higher --network.routing.variance-floor may help"
            )
        progress = progress._replace(
            step=progress.step + 1,
            loss=progress.loss + latest.loss,
            correct=progress.correct + latest.correct / loader.positives,
        )
    progress = state.progress = progress._replace(seconds=progress.seconds + seconds)
    epoch, done = _epoch_of(progress.step, loader)
    rate = done * batch_size / max(progress.seconds, 1e-9)
    logger.step(epoch, progress.loss / done, progress.correct / done, rate, steps=len(outcomes))
    if progress.step % LOG_EVERY == 0:
        logger.log(
            progress.step,
            loss=latest.loss,
            accuracy=latest.correct / loader.positives,
            gradient_norm=latest.gradient_norm,
            learning_rate=float(state.schedule.get_last_lr()[0]),
            margin=config.loss.margin_at(progress.step / loader.steps),
            images_per_s=rate,
        )


def end_epoch(training: Training, logger: RunLogger) -> None:
    """Measure and log the held-out error, and save the state; a run that is killed before the save repeats this."""
    config, worker, state = training.config, training.worker, training.state
    progress = state.progress
    epoch, done = _epoch_of(progress.step, training.loader)
    error = _held_out_error(state.result, training.held_out, worker)
    mean_loss, accuracy = (total / worker.world / done for total in worker.sum([progress.loss, progress.correct]))
    metrics = {"epoch": epoch, "training_loss": mean_loss, "training_accuracy": accuracy}
    logger.log(progress.step, **metrics, **({} if error is None else {"held_out_error": error}))
    logger.print(
        f"epoch {epoch}: loss {mean_loss:.4f}, training accuracy {accuracy:.2%}, "
        f"{'nothing held out' if error is None else f'held-out error {error:.2%}'}, {progress.seconds:.0f} s"
    )
    state.progress = Progress(step=progress.step)
    if config.run.keep_epochs:
        training.save(config.run.folder / f"epoch-{epoch}.pt")
    training.save(training.last)


def _saved_run(config: TrainConfig) -> dict[str, Any] | None:
    """The checkpoint to resume from; None for a new run.

    Raises:
        FileNotFoundError: The run is to be resumed, and there is no checkpoint.
        FileExistsError: The folder holds a run, and it is not to be resumed.
        ValueError: The checkpoint is damaged.
    """
    folder = config.run.folder
    last = folder / "last.pt"
    if config.run.resume:
        return checkpoint.load_run(last)
    # A run that stopped before its first save at a later step is replaced, with any options.
    if last.exists() and checkpoint.load_run(last)["progress"]["step"]:
        raise FileExistsError(f"{folder} already holds a run; continue it with --resume, or set another --run-folder")
    return None


def _config_of(saved: dict[str, Any], config: TrainConfig) -> TrainConfig:
    """The configuration of a checkpoint, with today's places of its folders of images."""
    with checkpoint.naming(config.run.folder / "last.pt"):
        before = from_json(saved["config"])
    if {before.data.name, config.data.name} & set(KNOWN):
        return before
    return at(before, config.data.name, config.data.validation)  # folders of images may move: the digest counts


def _require_the_same_run(before: TrainConfig, config: TrainConfig, expected: str, images: str) -> None:
    """Check that a run is resumed with its own options and images.

    Raises:
        ValueError: The options differ, or the digest of the images does.
    """
    folder = config.run.folder
    if differing := differences(before, config):
        changes = ", ".join(f"{name} was {was}, now {now}" for name, (was, now) in differing.items())
        raise ValueError(f"{folder} holds a run with other options: {changes}")
    require_images(expected, images, config.data.name, f"the run in {folder} began")


def _epoch_of(steps: int, loader: BatchLoader) -> tuple[int, int]:
    """Epoch (from 1) of the last step taken, and the number of steps taken in it."""
    epoch, step = divmod(steps - 1, loader.steps_per_epoch)
    return epoch + 1, step + 1


def _held_out_error(network: Network, held_out: ImageSet, worker: Worker) -> float | None:
    """The share of held-out images that are classified wrongly, counted over all processes; None if there are none."""
    if not len(held_out):
        return None
    own = held_out.subset(torch.arange(worker.rank, len(held_out), worker.world))
    wrong = int((predict(network, own.images) != own.labels).sum())
    return worker.sum([float(wrong)])[0] / len(held_out)
