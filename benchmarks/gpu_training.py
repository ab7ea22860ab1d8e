"""``scripts/check-gpu training``: steps that a GPU recorded against the same steps launched one by one, and timed."""

import statistics
import sys
import time
from dataclasses import replace

import torch
import tyro

from model.fused import gpu
from training.average import Average
from training.checkpoint import ARCHITECTURES, Network
from training.config import RECIPES, TrainConfig
from training.step import EAGER_STEPS, Batch, Step, adam

ALLOWED = 1e-3  # of a loss: convolutions in half precision may be summed in another order
STEPS = 20


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
        config = replace(RECIPES[name][1], learning_rate=1e-3)
        right &= compare(name, config)
        for batch in batches:
            launched, recorded = (time_step(config, batch, rounds, record=record) for record in (False, True))
            print(
                f"{name}, batch {batch}: {1e3 * launched:.2f} ms a step launched, {1e3 * recorded:.2f} recorded "
                f"({launched / recorded:.1f} times as quick): {batch / recorded:,.0f} images/s"
            )
    sys.exit(not right)


def compare(name: str, config: TrainConfig) -> bool:
    """Whether losses are those of steps that were launched, and weights outlast a step that is not finite."""
    torch.backends.cudnn.deterministic = True
    (_, launched), (network, recorded) = (run(config, record=record) for record in (False, True))
    error = float(((recorded - launched) / launched).abs().max())
    right = error <= ALLOWED  # nor where it is no number
    print(
        f"{name}: {STEPS} losses from {launched[0]:.3f} to {launched[-1]:.3f}, apart by {error:.0e} of a loss at most"
    )
    if not all(values.isfinite().all() for values in network.parameters()):
        print(f"{name}: weights are not finite after a step that was not")
        right = False
    torch.backends.cudnn.deterministic = False
    print(f"{name}: {'right' if right else 'WRONG'}")
    return right


def run(config: TrainConfig, *, record: bool) -> tuple[Network, torch.Tensor]:
    """Losses of some steps; before the last a step is asked for whose images are not finite."""
    network, take = network_and_step(config, record=record)
    given = batch_of(config, 32)
    losses = [take(given)[0] for _ in range(STEPS - 1)]
    before = [values.clone() for values in network.parameters()]
    told = take(given._replace(images=torch.full_like(given.images, torch.inf)))
    unchanged = all(map(torch.equal, before, network.parameters()))
    if told.isfinite().all() or not unchanged:
        sys.exit(f"a step with infinite images told {told.tolist()}, weights {'un' if unchanged else ''}changed")
    losses.append(take(given)[0])
    return network, torch.stack(losses).double()


def time_step(config: TrainConfig, batch: int, rounds: int, *, record: bool) -> float:
    """Seconds of a step, the median over rounds of ten steps."""
    _, take = network_and_step(config, record=record)
    given = batch_of(config, batch)
    times = []
    for _ in range(EAGER_STEPS + 1):
        take(given)
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(10):
            take(given)
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / 10)
    return statistics.median(times)


def network_and_step(config: TrainConfig, *, record: bool) -> tuple[Network, Step]:
    torch.manual_seed(0)
    network = ARCHITECTURES[config.architecture](config.network).cuda().train()
    return network, Step(network, adam(network, config), Average(network, 100.0), config, record=record)


def batch_of(config: TrainConfig, batch: int) -> Batch:
    """Random pixels, the same for the same size."""
    draws = torch.Generator().manual_seed(0)
    size = config.network.crop_size
    images = 255.0 * torch.rand(batch, config.network.channels, size, size, generator=draws)
    labels = torch.randint(len(config.network.classes), (batch,), generator=draws)
    given = images, labels, labels, torch.tensor(1.0), torch.tensor(0.2)
    return Batch(*(tensor.cuda() for tensor in given))


if __name__ == "__main__":
    tyro.cli(check, prog="scripts/check-gpu training")
