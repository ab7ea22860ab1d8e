"""The training loop: fetch, step, log, judge, save."""

import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from matcaps.training.config import FOLDER_CLASSES, TrainConfig, changed, resolved
from matcaps.training.data import ImageSet
from matcaps.training.data.loader import BatchLoader
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.distributed import Worker, join
from matcaps.training.engine.logger import RunLogger
from matcaps.training.engine.loss import margin_at
from matcaps.training.engine.state import Progress, State
from matcaps.training.engine.step import Outcome, Step
from matcaps.training.evaluation.metrics import predict
from matcaps.training.provenance import commit, fingerprint
from matcaps.training.splits import familiar, split

LOG_EVERY = 50  # steps
GPU_STEPS_UNSEEN = 10  # that a GPU may be ahead of what the host has seen of them


class NonFiniteError(RuntimeError):
    """A loss or a gradient is infinite or not a number: no weight changes by it, and nothing is saved after it.

    A GPU may have gone on for a few steps before it was seen.
    """


def train(config: TrainConfig) -> Path:
    """Train a network and return the path of its checkpoint.

    That is the run's end, where the rate has fallen to nothing. An epoch that is chosen by its held-out error would be
    judged by images that chose it.

    Raises:
        ValueError: The data do not fit the network, the run is too short, its batches cannot be shared by the
            processes, or the folder's run is another one.
        FileNotFoundError: The data are not there.
        FileExistsError: The folder holds a run, and it is not to be continued.
        NonFiniteError: Training left the finite numbers.
    """
    with join(config.device) as worker:
        config = resolved(config)
        training, held_out = split(config)
        images = fingerprint(training, held_out)
        if len(held_out):
            held_out = held_out.subset(familiar(held_out, config))
        if config.network.classes == FOLDER_CLASSES:
            config = replace(config, network=replace(config.network, classes=training.classes))
        last = config.run_folder / "last.pt"
        # One that broke in its beginning is no run yet: the same folder may have another try, with other options.
        if last.exists() and not config.resume and checkpoint.load(last)["progress"]["step"]:
            raise FileExistsError(
                f"{config.run_folder} holds a run already; continue it with --resume, or name another --run-folder"
            )
        saved = checkpoint.load(last) if config.resume else None
        if saved is not None and (differing := changed(saved["config"], config)):
            raise ValueError(f"{config.run_folder} holds a run with other options: {', '.join(differing)}")
        if saved is not None and saved.get("images") not in (None, images):  # runs of before do not know theirs
            raise ValueError(f"{config.data} holds other images than when the run of {config.run_folder} began")

        origin = commit()  # of the code that runs; the files may change while it does
        loader = BatchLoader(config, training, worker)
        state = State(config, loader.steps, worker.device)
        if saved is not None:
            state.restore(saved)
        model: nn.Module = state.network
        if worker.world > 1:
            model = DistributedDataParallel(model)
        take_step = Step(model, state.optimizer, state.schedule, state.average, config, record=worker.world == 1)

        def save(path: Path) -> None:
            if worker.leads:
                state.save(path, origin, images)

        if saved is None:
            save(last)  # so that there is something to go on from, whenever it is killed
        share = config.batch_size // worker.world
        patience = GPU_STEPS_UNSEEN if worker.device.type == "cuda" else 1
        unseen: list[Tensor] = []
        with RunLogger(config.run_folder, loader.steps, state.progress.step, active=worker.leads) as logger:
            saved_at = began = time.monotonic()
            for step in range(state.progress.step, loader.steps):
                epoch, batch_of_epoch = divmod(step, loader.steps_per_epoch)
                done = batch_of_epoch + 1
                # fetch
                batch = loader(step)
                # forward, loss, backward, clip, step
                state.network.train()
                unseen.append(take_step(batch))
                if len(unseen) < patience and done < loader.steps_per_epoch and (step + 1) % LOG_EVERY:
                    continue
                # log
                progress = state.progress
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
                progress = state.progress = progress._replace(seconds=progress.seconds + now - began)
                began = now
                rate = done * config.batch_size / max(progress.seconds, 1e-9)
                logger.step(epoch + 1, progress.loss / done, progress.correct / done, rate, steps=len(unseen))
                unseen.clear()
                if progress.step % LOG_EVERY == 0:
                    logger.record(
                        progress.step,
                        loss=latest.loss,
                        accuracy=latest.correct / share,
                        gradient_norm=latest.gradient_norm,
                        learning_rate=float(state.schedule.get_last_lr()[0]),
                        margin=margin_at(progress.step / loader.steps, config),
                        images_per_s=rate,
                    )
                if done == loader.steps_per_epoch:
                    error = _held_out_error(state.outcome, held_out, worker)
                    mean_loss, accuracy = (
                        value / worker.world / done for value in worker.sum([progress.loss, progress.correct])
                    )
                    logger.record(
                        progress.step,
                        epoch=epoch + 1,
                        training_loss=mean_loss,
                        training_accuracy=accuracy,
                        **({} if error is None else {"held_out_error": error}),
                    )
                    judged = "nothing held out" if error is None else f"held-out error {error:.2%}"
                    logger.say(
                        f"epoch {epoch + 1}: loss {mean_loss:.4f}, training accuracy {accuracy:.2%}, "
                        f"{judged}, {progress.seconds:.0f} s"
                    )
                    state.progress = Progress(step=progress.step)
                    # The last state at the end: a run that is killed before does the epoch's end again.
                    if config.keep_epochs:
                        save(config.run_folder / f"epoch-{epoch + 1}.pt")
                    save(last)
                    saved_at = began = time.monotonic()
                elif now - saved_at > 60.0 * config.checkpoint_minutes:
                    save(last)
                    saved_at = time.monotonic()
    return last


def _held_out_error(network: Network, held_out: ImageSet, worker: Worker) -> float | None:
    """Share of held-out images that are classified wrongly, each process judging its part; None if there are none."""
    if not len(held_out):
        return None
    own = held_out.subset(torch.arange(worker.rank, len(held_out), worker.world))
    wrong = int((predict(network, own.images) != own.labels).sum())
    return worker.sum([float(wrong)])[0] / len(held_out)
