"""``scripts/check-gpu training``: steps that a GPU recorded against the same steps launched one by one, and timed."""

import statistics
import sys
import time
from dataclasses import replace
from typing import NamedTuple

import torch
import tyro
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from model.fused import gpu
from training.average import Average
from training.checkpoint import ARCHITECTURES, Network
from training.config import RECIPES, TrainConfig
from training.evaluate import predict
from training.step import EAGER_STEPS, Batch, Step, adam, restore_optimizer

STEPS = 20
ALLOWED = 1e-3  # of a loss: convolutions in half precision may be summed in another order


class Trained(NamedTuple):
    """A network that takes steps, with what belongs to it."""

    network: Network
    optimizer: AdamW
    average: Average
    step: Step


def check(
    recipes: tuple[str, ...] = ("smallnorb-stereo-small", "smallnorb-stereo"),
    batches: tuple[int, ...] = (32, 64, 128, 256),
    rounds: int = 7,
) -> None:
    """Hold recorded steps against launched ones, see that a step that is not finite changes nothing, and time both.

    Args:
        recipes: of ``python -m training train``
        batches: images a step of the timing
        rounds: timed ones; the median counts
    """
    if not torch.cuda.is_available() or not gpu.available():
        sys.exit("a CUDA GPU that torch can use and Triton are needed")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    right = True
    for name in recipes:
        config = RECIPES[name][1]
        right &= compare(name, config)
        right &= compare(f"{name}, spread loss", replace(config, loss="spread"))
        right &= compare(f"{name}, CNN", replace(config, architecture="cnn"))
    for name in recipes:
        config = RECIPES[name][1]
        for batch in batches:
            launched, recorded = (time_step(config, batch, rounds, record=record) for record in (False, True))
            print(
                f"{name}, batch {batch}: {1e3 * launched:.2f} ms a step launched, {1e3 * recorded:.2f} recorded "
                f"({launched / recorded:.1f} times as quick): {batch / recorded:,.0f} images/s"
            )
    sys.exit(not right)


def compare(title: str, config: TrainConfig) -> bool:
    """Whether recorded steps tell and leave what launched ones do, and weights outlast a step that is not finite."""
    torch.backends.cudnn.deterministic = True
    launched, recorded = (run(config, record=record) for record in (False, True))
    torch.backends.cudnn.deterministic = False
    error = float(((recorded[0] - launched[0]) / launched[0].clamp_min(1e-2)).abs().max())
    apart = max(
        float((one - other).abs().max()) / max(1.0, float(other.abs().max()))
        for one, other in zip(recorded[1], launched[1], strict=True)
    )
    right = error <= ALLOWED and apart <= ALLOWED  # nor where one is no number
    print(
        f"{title}: {'right' if right else 'WRONG'}; losses from {launched[0][0]:.3f} to {launched[0][-1]:.3f}, "
        f"apart by {error:.0e} of one at most; weights, statistics and averages by {apart:.0e}"
    )
    return right


def run(config: TrainConfig, *, record: bool) -> tuple[Tensor, list[Tensor]]:
    """Losses of some steps, and all that they have changed.

    Every step has images, labels, shares, a margin and a rate of its own. Half of them are taken after the network was
    asked about images, by another optimizer that took over the first one's state.
    """
    trained = made(config, record=record)
    losses = []
    for number in range(STEPS):
        if number == STEPS // 2:
            predict(trained.average.network, batch_of(config, 8, 0).images.to(torch.uint8))
            trained = again(trained, config, record=record)
        trained.network.train()
        torch.manual_seed(number)
        losses.append(trained.step(batch_of(config, 32, number))[0])
    changed = [*trained.network.state_dict().values(), *trained.average.network.state_dict().values()]
    changed = [values.double() for values in changed]

    before = [values.clone() for values in trained.network.parameters()]
    given = batch_of(config, 32, STEPS)
    told = trained.step(given._replace(images=torch.full_like(given.images, torch.inf)))
    unchanged = all(map(torch.equal, before, trained.network.parameters()))
    if told.isfinite().all() or not unchanged:
        sys.exit(f"a step with infinite images told {told.tolist()}, weights {'un' if unchanged else ''}changed")
    return torch.stack(losses).double(), changed


def made(config: TrainConfig, *, record: bool, steps: int = 10 * STEPS) -> Trained:
    """A network at its start, on a schedule of so many steps."""
    torch.manual_seed(0)
    network = ARCHITECTURES[config.architecture](config.network).cuda().train()
    optimizer, average = adam(network, config), Average(network, 5.0)
    schedule = OneCycleLR(optimizer, config.learning_rate, steps, pct_start=0.25, cycle_momentum=False)
    return Trained(network, optimizer, average, Step(network, optimizer, schedule, average, config, record=record))


def again(trained: Trained, config: TrainConfig, *, record: bool) -> Trained:
    """A network that goes on from where another is, by states on the CPU as a checkpoint has them."""
    other = made(config, record=record)
    other.network.load_state_dict({name: values.cpu() for name, values in trained.network.state_dict().items()})
    average = {name: values.cpu() for name, values in trained.average.network.state_dict().items()}
    other.average.network.load_state_dict(average)
    restore_optimizer(other.optimizer, trained.optimizer.state_dict())
    return other


def time_step(config: TrainConfig, batch: int, rounds: int, *, record: bool) -> float:
    """Seconds of a step, the median over rounds of ten steps."""
    trained, given = made(config, record=record, steps=1000), batch_of(config, batch, 0)
    times = []
    for _ in range(EAGER_STEPS + 1):
        trained.step(given)
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(10):
            trained.step(given)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / 10)
    return statistics.median(times)


def batch_of(config: TrainConfig, batch: int, seed: int) -> Batch:
    """Random pixels and labels, half a label of each image's own and half of another's."""
    draws = torch.Generator().manual_seed(seed)
    size, classes = config.network.crop_size, len(config.network.classes)
    images = 255.0 * torch.rand(batch, config.network.channels, size, size, generator=draws)
    labels, partners = (torch.randint(classes, (batch,), generator=draws) for _ in range(2))
    share, margin = torch.rand(2, generator=draws)
    return Batch(*(tensor.cuda() for tensor in (images, labels, partners, share, 0.2 + 0.7 * margin)))


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-gpu training")
