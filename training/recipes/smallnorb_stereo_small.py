"""smallNORB, stereo pairs: the paper's small network (119 thousand parameters).

Command: ``matcaps train smallnorb-stereo-small``.
Time: 18 to 23 minutes on one core of a CPU, beside another run.
Error: 9.5 % ± 3.9 of 24,300 pairs, each of the five instances held out in turn (mean of three seeds); the paper's CNN
9.4 % ± 4.4. No released model.
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
        small_norb_small(),
        crop_size=42,  # the whole toy fits into it
        resolution=32,
        pooled_channels=32,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/smallnorb-stereo-small")),
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15, elastic=1.5, mirror=True),
    optimisation=OptimisationConfig(epochs=12, batch_size=64, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
