"""Training in one process, or in several that ``torchrun`` started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import distributed


@dataclass(frozen=True)
class Worker:
    """One process of a run.

    Attributes:
        rank: Number of this process, from 0.
        world: Number of processes.
        device: Device of its network.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes checkpoints and logs."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Sum each number over all processes."""
        if self.world == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]


@contextmanager
def join(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Worker]:
    """Join the process group that ``torchrun`` describes in the environment, and leave it at the end.

    Raises:
        ValueError: A GPU is requested and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ValueError("--device cuda needs a GPU, but torch finds none; use cpu or auto")
    kind = "cuda" if has_gpu and device != "cpu" else "cpu"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Worker(0, 1, torch.device(kind))
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if kind == "cuda":
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Worker(rank, world, torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind))
    finally:
        distributed.destroy_process_group()
