"""``scripts/check-gpu training``: steps of a captured graph beside the same steps launched one by one, and timed."""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from benchmarks.training.steps import batch_of, made
from matcaps.model.kernels import gpu
from matcaps.training.config import TrainConfig
from matcaps.training.engine import checkpoint
from matcaps.training.engine.predict import predict
from matcaps.training.engine.step import EAGER_STEPS
from matcaps.training.recipes import RECIPES

CUDA = torch.device("cuda")
STEPS, BATCH = 20, 32
ALLOWED = 1e-3  # of a loss: convolutions in half precision may be summed in another order


def check(
    recipes: tuple[str, ...] = ("smallnorb-stereo-small", "smallnorb-stereo"),
    batches: tuple[int, ...] = (32, 64, 128, 256),
    rounds: int = 7,
) -> None:
    """Compare captured steps with launched ones, check that a step that is not finite changes nothing, and time both.

    Args:
        recipes: recipes of ``matcaps train``
        batches: batch sizes that are timed
        rounds: timed rounds; the figure is their median
    """
    if not torch.cuda.is_available() or not gpu.available():
        sys.exit("expected a CUDA GPU that torch can use, and Triton")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    right = True
    for name in recipes:
        config = RECIPES[name]
        right &= compare(name, config)
        right &= compare(f"{name}, spread loss", replace(config, loss=replace(config.loss, kind="spread")))
        right &= compare(f"{name}, CNN", replace(config, architecture="cnn"))
    for name in recipes:
        config = RECIPES[name]
        for batch in batches:
            launched, captured = (time_step(config, batch, rounds, capture=capture) for capture in (False, True))
            print(
                f"{name}, batch {batch}: {1e3 * launched:.2f} ms a launched step, {1e3 * captured:.2f} a captured one "
                f"({launched / captured:.1f} times as fast): {batch / captured:,.0f} images/s"
            )
    sys.exit(not right)


def compare(
    title: str, config: TrainConfig, device: torch.device = CUDA, steps: int = STEPS, batch: int = BATCH
) -> bool:
    """Whether captured steps have the losses and the results of launched ones."""
    torch.backends.cudnn.deterministic = True
    launched, captured = (run(config, device, steps, batch, capture=capture) for capture in (False, True))
    torch.backends.cudnn.deterministic = False
    losses = launched[0]
    of_losses = float(((captured[0] - losses) / losses.clamp_min(1e-2)).abs().max())
    of_rest = apart(captured[1:], launched[1:])
    right = of_losses <= ALLOWED and of_rest <= ALLOWED  # False where one is not a number
    print(
        f"{title}: {'right' if right else 'WRONG'}; losses from {losses[0]:.3f} to {losses[-1]:.3f}, "
        f"largest relative difference {of_losses:.0e}; of weights, statistics and averages {of_rest:.0e}"
    )
    return right


def apart(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, relative to its tensor's largest element where above 1; NaN if any is NaN."""
    differences = [
        (one - other).abs().max() / other.abs().max().clamp_min(1.0) for one, other in zip(found, expected, strict=True)
    ]
    return float(torch.stack(differences).max())  # Python's max would ignore NaN


def run(config: TrainConfig, device: torch.device, steps: int, batch: int, *, capture: bool) -> list[Tensor]:
    """Take some steps; their losses, and then every tensor that they changed.

    Every step has its own images, labels, shares, margin and learning rate. The second half of them follows a
    prediction, and begins with a new state that is restored from the first one's checkpoint. At the end a step that
    is not finite must change no weight.
    """
    state, step = made(config, device, capture=capture, steps=10 * steps)
    losses = []
    for number in range(steps):
        if number == steps // 2:
            predict(state.result, batch_of(config, 8, 0, device).images.to(torch.uint8))
            with tempfile.TemporaryDirectory() as folder:
                state.save(Path(folder) / "last.pt", "unknown", "unknown")
                saved = checkpoint.load(Path(folder) / "last.pt")
            state, step = made(config, device, capture=capture, steps=10 * steps)
            state.restore(saved)
        state.network.train()
        torch.manual_seed(number)
        losses.append(step(batch_of(config, batch, number, device))[0])
    changed = [*state.network.state_dict().values(), *state.result.state_dict().values()]
    changed = [values.double() for values in changed]

    before = [values.clone() for values in state.network.parameters()]
    given = batch_of(config, batch, steps, device)
    told = step(given._replace(images=torch.full_like(given.images, torch.inf)))
    unchanged = all(map(torch.equal, before, state.network.parameters()))
    if told.isfinite().all() or not unchanged:
        sys.exit(
            f"a step with infinite images: expected a loss that is not finite and unchanged weights, got "
            f"{told.tolist()} and {'un' if unchanged else ''}changed weights"
        )
    return [torch.stack(losses).double(), *changed]


def time_step(config: TrainConfig, batch: int, rounds: int, *, capture: bool) -> float:
    """Seconds of a step: the median over rounds of ten steps."""
    (_, step), given = made(config, CUDA, capture=capture, steps=1000), batch_of(config, batch, 0, CUDA)
    times = []
    for _ in range(EAGER_STEPS + 1):
        step(given)
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(10):
            step(given)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / 10)
    return statistics.median(times)


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-gpu training")
