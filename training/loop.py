"""The training loop. A run is a function of its configuration and the step: nothing else has to be remembered.

The order of an epoch's images and each batch's augmentation come from generators seeded by the run's seed and
the epoch's or the step's number, so that a run that was killed goes on as if it had not been.
"""

import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import OneCycleLR

from training import checkpoint
from training.augment import mix
from training.average import Average
from training.checkpoint import ARCHITECTURES, Network
from training.config import FOLDER_CLASSES, TrainConfig, restore
from training.data import ImageSet, hold_out, load, photographed
from training.distributed import Worker, join
from training.evaluate import predict
from training.journal import Journal
from training.loss import margin_at
from training.provenance import commit
from training.step import Batch, Outcome, Step, adam, restore_optimizer

LOG_EVERY = 50  # steps
GPU_STEPS_UNSEEN = 10  # that a GPU may be ahead of what the host has seen of them
FOLDER_SHARE = 0.2  # of each class of a folder of pictures is held out


class NonFiniteError(RuntimeError):
    """A loss or a gradient is infinite or not a number: no weight changes by it, and nothing is saved after it.

    A GPU may have gone on for a few steps before it was seen.
    """


class Progress(NamedTuple):
    """How far a run has come, and the sums over the epoch that is under way."""

    step: int = 0
    loss: float = 0.0
    correct: float = 0.0
    best_error: float = 1.0
    seconds: float = 0.0


def train(config: TrainConfig) -> Path:
    """Train a network and return the path of its best checkpoint, by the error on held-out images.

    Raises:
        ValueError: The data do not fit the network, or the folder's run is another one.
        FileNotFoundError: The data are not there.
        FileExistsError: The folder holds a run, and it is not to be continued.
        NonFiniteError: Training left the finite numbers.
    """
    with join(config.device) as worker:
        training, held_out = split(config)
        if len(held_out):
            held_out = held_out.subset(familiar(held_out, config))
        if config.network.classes == FOLDER_CLASSES:
            config = replace(config, network=replace(config.network, classes=training.classes))
        last, best = config.run_folder / "last.pt", config.run_folder / "best.pt"
        if last.exists() and not config.resume:
            raise FileExistsError(
                f"{config.run_folder} holds a run already; continue it with --resume, or name another --run-folder"
            )
        saved = checkpoint.load(last) if config.resume else None
        if saved is not None and (changed := _changed(saved["config"], config)):
            raise ValueError(f"{config.run_folder} holds a run with other options: {', '.join(changed)}")

        origin = commit()  # of the code that runs; the files may change while it does
        torch.manual_seed(config.seed)
        network = ARCHITECTURES[config.architecture](config.network).to(worker.device)
        optimizer = adam(network, config)
        steps_per_epoch = len(training) // config.batch_size
        steps = config.epochs * steps_per_epoch
        if config.warmup_share * steps <= 1.0:
            raise ValueError(
                f"a run of {steps} steps is too short for its rate to rise over {config.warmup_share:g} of them; "
                f"it takes more --epochs, or a smaller --batch-size"
            )
        schedule = OneCycleLR(
            optimizer, config.learning_rate, steps, pct_start=config.warmup_share, cycle_momentum=False
        )
        average = Average(network, config.average_share * steps) if config.average_share else None
        outcome = average.network if average else network
        progress = Progress()
        if saved is not None:
            outcome.load_state_dict(saved["weights"])
            network.load_state_dict(saved.get("trained_weights", saved["weights"]))
            restore_optimizer(optimizer, saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
            progress = Progress(**saved["progress"])
        model: nn.Module = network
        if worker.world > 1:
            model = DistributedDataParallel(model)
        take_step = Step(model, optimizer, schedule, average, config, record=worker.world == 1)
        augment = config.augment()

        def save(path: Path) -> None:
            if worker.leads:
                checkpoint.save(
                    path,
                    outcome,
                    trained_weights=network.state_dict(),
                    optimizer=optimizer.state_dict(),
                    schedule=schedule.state_dict(),
                    progress=progress._asdict(),
                    config=_plain(config),
                    commit=origin,
                )

        own_rows = slice(worker.rank, None, worker.world)
        share = config.batch_size // worker.world
        patience = GPU_STEPS_UNSEEN if worker.device.type == "cuda" else 1
        all_images, all_labels = training.images.to(worker.device), training.labels.to(worker.device)
        unseen: list[Tensor] = []
        with Journal(config.run_folder, steps, progress.step, active=worker.leads) as journal:
            saved_at = began = time.monotonic()
            step = progress.step
            while step < steps:
                epoch, batch_of_epoch = divmod(step, steps_per_epoch)
                if batch_of_epoch == 0 or step == _first(saved):
                    order = torch.randperm(len(training), generator=_generator(config.seed, 0, epoch))
                    order = order.to(worker.device)
                network.train()

                # fetch
                start = batch_of_epoch * config.batch_size
                rows = order[start : start + config.batch_size][own_rows]
                draws = _generator(config.seed, 1 + worker.rank, step)
                torch.manual_seed(draws.initial_seed())  # dropout draws from the generator that all share
                mixture = mix(augment(all_images[rows], draws), config.mixup, draws)
                labels = all_labels[rows]
                # forward, loss, backward, clip, step
                numbers = torch.tensor([mixture.share, margin_at(step / steps, config)]).to(
                    worker.device, non_blocking=True
                )
                batch = Batch(mixture.images, labels, labels[mixture.partners], *numbers)
                unseen.append(take_step(batch))
                step += 1
                done = batch_of_epoch + 1
                if len(unseen) < patience and done < steps_per_epoch and step % LOG_EVERY:
                    continue
                # log
                for latest in map(Outcome._make, torch.stack(unseen).tolist()):
                    if not all(map(math.isfinite, latest)):
                        raise NonFiniteError(
                            f"step {progress.step}: loss {latest.loss}, gradient norm {latest.gradient_norm}; "
                            f"the last good state is {last}. A lower --learning-rate or a higher "
                            f"--network.routing.variance-floor may help"
                        )
                    progress = progress._replace(
                        step=progress.step + 1,
                        loss=progress.loss + latest.loss,
                        correct=progress.correct + latest.correct / share,
                    )
                now = time.monotonic()
                progress = progress._replace(seconds=progress.seconds + now - began)
                began = now
                rate = done * config.batch_size / max(progress.seconds, 1e-9)
                journal.step(epoch + 1, progress.loss / done, progress.correct / done, rate, steps=len(unseen))
                unseen.clear()
                if progress.step % LOG_EVERY == 0:
                    journal.record(
                        progress.step,
                        loss=latest.loss,
                        accuracy=latest.correct / share,
                        gradient_norm=latest.gradient_norm,
                        learning_rate=float(schedule.get_last_lr()[0]),
                        margin=margin_at(progress.step / steps, config),
                        images_per_s=rate,
                    )
                if done == steps_per_epoch:
                    error = _held_out_error(outcome, held_out, worker)
                    mean_loss, accuracy = (
                        value / worker.world / done for value in worker.sum([progress.loss, progress.correct])
                    )
                    journal.record(
                        progress.step,
                        epoch=epoch + 1,
                        training_loss=mean_loss,
                        training_accuracy=accuracy,
                        **({} if error is None else {"held_out_error": error}),
                    )
                    judged = "nothing held out" if error is None else f"held-out error {error:.2%}"
                    journal.say(
                        f"epoch {epoch + 1}: loss {mean_loss:.4f}, training accuracy {accuracy:.2%}, "
                        f"{judged}, {progress.seconds:.0f} s"
                    )
                    is_best = error is None or error < progress.best_error or not best.exists()
                    best_error = progress.best_error if error is None else min(error, progress.best_error)
                    progress = Progress(step=progress.step, best_error=best_error)
                    # The last state at the end: a run that is killed before does the epoch's end again.
                    if is_best:
                        save(best)
                    if config.keep_epochs:
                        save(config.run_folder / f"epoch-{epoch + 1}.pt")
                    save(last)
                    saved_at = began = time.monotonic()
                elif now - saved_at > 60.0 * config.checkpoint_minutes:
                    save(last)
                    saved_at = time.monotonic()
    return best


def split(config: TrainConfig) -> tuple[ImageSet, ImageSet]:
    """The images that a run trains on, and those that it holds out.

    Raises:
        ValueError: The data do not fit the network.
        FileNotFoundError: The data are not there.
    """
    network = config.network
    images = load(config.data, config.root, stereo=network.channels == 2, size=network.image_size)
    shape = (network.channels, network.image_size, network.image_size)
    if network.classes not in (images.classes, FOLDER_CLASSES):
        raise ValueError(f"{images.name} has the classes {images.classes}, the network {network.classes}")
    if images.images.shape[1:] != shape:
        raise ValueError(f"{images.name} has images {list(images.images.shape[1:])}, the network takes {list(shape)}")
    if "instance" in images.info and config.held_out_instance is None:
        training, held_out = images, images.subset(torch.arange(0))
    elif "instance" in images.info:
        training, held_out = hold_out(images, instance=config.held_out_instance)
    elif Path(config.data).is_dir():
        training, held_out = hold_out(images, share=FOLDER_SHARE, seed=config.seed)
    else:
        training, held_out = hold_out(images, rows=config.held_out_rows, seed=config.seed)
    training = training.subset(familiar(training, config))
    if len(training) < config.batch_size:
        raise ValueError(f"{len(training)} images to train on do not fill one batch of {config.batch_size}")
    return training, held_out


def familiar(images: ImageSet, config: TrainConfig) -> Tensor:
    """Which images were taken as those that the run trains on: bool [n]."""
    return photographed(images, elevation=config.elevations, lighting=config.lightings)


def _held_out_error(network: Network, held_out: ImageSet, worker: Worker) -> float | None:
    """Share of held-out images that are classified wrongly, each process judging its part; None if there are none."""
    if not len(held_out):
        return None
    own = held_out.subset(torch.arange(worker.rank, len(held_out), worker.world))
    wrong = int((predict(network, own.images) != own.labels).sum())
    return worker.sum([float(wrong)])[0] / len(held_out)


def _generator(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number * 1442695040888963407 + 1) % 2**63
    return torch.Generator().manual_seed(seed)


def _first(saved: dict[str, Any] | None) -> int:
    return 0 if saved is None else int(saved["progress"]["step"])


def _plain(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON knows it."""
    return dict(json.loads(json.dumps(asdict(config), default=str)))


def _changed(saved: dict[str, Any], config: TrainConfig) -> list[str]:
    """The options that differ from those of a saved run, but for those that say where and how fast it runs."""
    free = {"resume", "root", "run_folder", "device", "checkpoint_minutes"}
    before, current = _plain(restore(saved)), _plain(config)  # options that are newer than the run have their defaults
    return [
        f"{name} was {before[name]}, now {current[name]}"
        for name in sorted(current.keys() - free)
        if before[name] != current[name]
    ]
