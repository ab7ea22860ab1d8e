"""smallNORB, each camera's image by itself: the small network (118 thousand parameters).

Command: ``matcaps train smallnorb``; the released model adds ``--held-out-instances None --negatives 0.125``.
Time: two to seven minutes on an H100, beside other runs.
Error: 15.2 % ± 5.0 of 48,600 images, each of the five instances held out in turn, without negatives.
Model: ``model_repository/smallnorb/6``.
"""

from dataclasses import replace
from pathlib import Path

from matcaps.model import RoutingConfig, small_norb_small
from matcaps.training.config import (
    AugmentationConfig,
    DataConfig,
    LossConfig,
    OptimisationConfig,
    RunConfig,
    TrainConfig,
)

CONFIG = TrainConfig(
    data=DataConfig("smallnorb"),
    network=replace(
        small_norb_small(channels=1),
        crop_size=42,  # the whole toy fits into it
        resolution=32,
        pooled_channels=32,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/smallnorb")),
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15, elastic=1.5, mirror=True),
    optimisation=OptimisationConfig(epochs=6, batch_size=64, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
