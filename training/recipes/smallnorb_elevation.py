"""smallNORB, stereo pairs of the three lowest elevations only: the small network (119 thousand parameters).

It measures the error at the six elevations that training never saw: ``matcaps evaluate viewpoint``.
Command: ``matcaps train smallnorb-elevation``; the released model adds ``--held-out-instances None``.
Time: half an hour on one core of a CPU.
Error: 10.0 % of 4,860 pairs with instance 7 held out: 0.4 % at the three elevations, 14.8 % at the six others.
``model_repository/smallnorb-elevation/3``.
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
    data=DataConfig("smallnorb", elevations=(0, 1, 2)),
    network=replace(
        small_norb_small(),
        crop_size=42,  # the whole toy fits into it
        resolution=32,
        pooled_channels=32,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/smallnorb-elevation")),
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15, mirror=True),
    optimisation=OptimisationConfig(epochs=24, batch_size=32, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
