"""``python -m benchmarks routing``: EM routing in its implementations, interleaved in one run."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from benchmarks.textbook import textbook_routing
from model import small_norb, small_norb_small
from model.network import CapsNet
from model.routing import em_routing
from training.checkpoint import write_atomically

PRESETS = {"small_norb": small_norb, "small_norb_small": small_norb_small}


def measure(
    name: Annotated[Literal["routing"], tyro.conf.Positional],
    batch: int = 4,
    threads: int = 2,
    rounds: int = 5,
    json_: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Milliseconds per image of ConvCaps1 and ConvCaps2 at random inputs: median and spread over rounds.

    Args:
        name: what to measure
        batch: images at once
        threads: threads of torch
        rounds: interleaved rounds, after one that is not counted
        json_: file for the figures
    """
    torch.set_num_threads(threads)
    figures = []
    for preset, make in PRESETS.items():
        torch.manual_seed(0)
        network = CapsNet(make())
        routing = network.config.routing
        layers = [network.conv_caps_1, network.conv_caps_2]
        inputs = [_random_children(batch, layer.windows.child_sites, layer.weights.shape[1]) for layer in layers]

        def run(function: Callable[..., tuple[Tensor, ...]], backward: bool) -> float:
            began = time.perf_counter()
            for layer, (poses, activations) in zip(layers, inputs, strict=True):  # noqa: B023
                with torch.set_grad_enabled(backward):
                    found = function(
                        poses,
                        activations,
                        layer.weights,
                        layer.beta_u,
                        layer.beta_a,
                        layer.windows,
                        routing,  # noqa: B023
                    )
                if backward:
                    (found[0].sum() + found[1].square().sum()).backward()
            return (time.perf_counter() - began) * 1e3 / batch

        times: dict[tuple[str, str], list[float]] = {}
        for round_ in tqdm(range(rounds + 1), desc=preset, unit="round"):
            for title, function in (("textbook", textbook_routing), ("emcaps", em_routing)):
                for pass_ in ("forward", "training"):
                    taken = run(function, pass_ == "training")
                    if round_:
                        times.setdefault((title, pass_), []).append(taken)
        for (title, pass_), taken_ in times.items():
            middle = statistics.median(taken_)
            ratio = statistics.median(times["textbook", pass_]) / middle
            figures.append(
                {"preset": preset, "pass": pass_, "implementation": title, "ms_per_image": middle, "ratio": ratio}
            )
            print(
                f"{preset:<18}{pass_:<10}{title:<10}{middle:8.1f} ms per image "
                f"({min(taken_):.1f}–{max(taken_):.1f}), {ratio:.1f}× the textbook"
            )
    if json_ is not None:
        content = json.dumps({"batch": batch, "threads": threads, "rounds": rounds, "figures": figures}, indent=1)
        write_atomically(json_, lambda file: file.write(content.encode()))


def _random_children(batch: int, sites: int, types: int) -> tuple[Tensor, Tensor]:
    poses = torch.randn(batch, sites, types, 4, 4, requires_grad=True)
    return poses, torch.rand(batch, sites, types, requires_grad=True)


if __name__ == "__main__":
    tyro.cli(measure, prog="python -m benchmarks")
