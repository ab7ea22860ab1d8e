"""smallNORB, stereo pairs: the paper's network (343 thousand parameters).

Command: ``matcaps train smallnorb-stereo``; the released model adds ``--held-out-instances None``.
Time: two to seven minutes on an H100, beside other runs.
Error: 10.0 % ± 3.7 of 24,300 pairs, each of the five instances held out in turn; the paper's CNN 9.4 % ± 4.4 (mean of
three seeds). ``model_repository/smallnorb-stereo/5``.
"""

from dataclasses import replace
from pathlib import Path

from matcaps.model import RoutingConfig, small_norb
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
        small_norb(),
        crop_size=42,  # the whole toy fits into it
        resolution=32,
        pooled_channels=32,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/smallnorb-stereo")),
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15, elastic=1.5, mirror=True),
    optimisation=OptimisationConfig(epochs=12, batch_size=64, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
