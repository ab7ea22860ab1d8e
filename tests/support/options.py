"""Small networks and short runs that several tests share."""

from pathlib import Path
from typing import Any

from matcaps.model import tiny
from matcaps.training.config import DataConfig, RunConfig, TrainConfig

TINY = [
    "--network.crop-size=20",
    "--network.resolution=20",
    "--network.stem-channels=4",
    "--network.primary-types=2",
    "--network.conv-types-1=3",
    "--network.conv-types-2=4",
]


def tiny_run(data: str = "shapes", folder: Path = Path("nowhere"), **values: Any) -> TrainConfig:
    """A run of the tiny network, with further fields of the configuration."""
    return TrainConfig(DataConfig(data), tiny(), RunConfig(folder), **values)
