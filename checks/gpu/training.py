"""``scripts/check-gpu training``: steps that a GPU recorded against the same steps launched one by one, and timed."""

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
STEPS = 20
ALLOWED = 1e-3  # of a loss: convolutions in half precision may be summed in another order


def check(
    recipes: tuple[str, ...] = ("smallnorb-stereo-small", "smallnorb-stereo"),
    batches: tuple[int, ...] = (32, 64, 128, 256),
    rounds: int = 7,
) -> None:
    """Hold recorded steps against launched ones, see that a step that is not finite changes nothing, and time both.

    Args:
        recipes: of ``matcaps train``
        batches: images a step of the timing
        rounds: timed ones; the median counts
    """
    if not torch.cuda.is_available() or not gpu.available():
        sys.exit("a CUDA GPU that torch can use and Triton are needed")
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
            launched, recorded = (time_step(config, batch, rounds, record=record) for record in (False, True))
            print(
                f"{name}, batch {batch}: {1e3 * launched:.2f} ms a step launched, {1e3 * recorded:.2f} recorded "
                f"({launched / recorded:.1f} times as quick): {batch / recorded:,.0f} images/s"
            )
    sys.exit(not right)


def compare(title: str, config: TrainConfig, device: torch.device = CUDA) -> bool:
    """Whether recorded steps tell and leave what launched ones do, and weights outlast a step that is not finite."""
    torch.backends.cudnn.deterministic = True
    launched, recorded = (run(config, device, record=record) for record in (False, True))
    torch.backends.cudnn.deterministic = False
    losses = launched[0]
    of_losses = float(((recorded[0] - losses) / losses.clamp_min(1e-2)).abs().max())
    of_rest = apart(recorded[1:], launched[1:])
    right = of_losses <= ALLOWED and of_rest <= ALLOWED  # nor where one is no number
    print(
        f"{title}: {'right' if right else 'WRONG'}; losses from {losses[0]:.3f} to {losses[-1]:.3f}, "
        f"apart by {of_losses:.0e} of one at most; weights, statistics and averages by {of_rest:.0e}"
    )
    return right


def apart(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, in units of its tensor's largest element above 1; not a number if one is none."""
    differences = [
        (one - other).abs().max() / other.abs().max().clamp_min(1.0) for one, other in zip(found, expected, strict=True)
    ]
    return float(torch.stack(differences).max())  # Python's max would pass over what is no number


def run(config: TrainConfig, device: torch.device, *, record: bool) -> list[Tensor]:
    """Losses of some steps, and then all that they have changed.

    Every step has images, labels, shares, a margin and a rate of its own. Half of them are taken after the network was
    asked about images, by a state that took over the first one's checkpoint.
    """
    state, step = made(config, device, record=record, steps=10 * STEPS)
    losses = []
    for number in range(STEPS):
        if number == STEPS // 2:
            predict(state.result, batch_of(config, 8, 0, device).images.to(torch.uint8))
            with tempfile.TemporaryDirectory() as folder:
                state.save(Path(folder) / "last.pt", "unknown", "unknown")
                saved = checkpoint.load(Path(folder) / "last.pt")
            state, step = made(config, device, record=record, steps=10 * STEPS)
            state.restore(saved)
        state.network.train()
        torch.manual_seed(number)
        losses.append(step(batch_of(config, 32, number, device))[0])
    changed = [*state.network.state_dict().values(), *state.result.state_dict().values()]
    changed = [values.double() for values in changed]

    before = [values.clone() for values in state.network.parameters()]
    given = batch_of(config, 32, STEPS, device)
    told = step(given._replace(images=torch.full_like(given.images, torch.inf)))
    unchanged = all(map(torch.equal, before, state.network.parameters()))
    if told.isfinite().all() or not unchanged:
        sys.exit(f"a step with infinite images told {told.tolist()}, weights {'un' if unchanged else ''}changed")
    return [torch.stack(losses).double(), *changed]


def time_step(config: TrainConfig, batch: int, rounds: int, *, record: bool) -> float:
    """Seconds of a step, the median over rounds of ten steps."""
    (_, step), given = made(config, CUDA, record=record, steps=1000), batch_of(config, batch, 0, CUDA)
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
