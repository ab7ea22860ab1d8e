"""Your own images, one folder per class: the small network for single images (118 thousand parameters, RGB 119).

Command: ``matcaps train folder --data FOLDER``. A fifth of each class is held out. The network takes RGB images if
any of yours is coloured, otherwise grey ones; ``--channels`` decides it by hand.
Time and error depend on the images; none were measured.
"""

from dataclasses import replace
from pathlib import Path

from matcaps.model import RoutingConfig, small_norb_small
from matcaps.training.config import (
    FOLDER_CHANNELS,
    FOLDER_CLASSES,
    AugmentationConfig,
    DataConfig,
    LossConfig,
    OptimisationConfig,
    RunConfig,
    TrainConfig,
)

CONFIG = TrainConfig(
    data=DataConfig("FOLDER"),
    network=replace(
        small_norb_small(channels=FOLDER_CHANNELS),
        classes=FOLDER_CLASSES,
        crop_size=42,
        resolution=32,
        pooled_channels=32,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/folder")),
    # Neither bent nor mirrored: some things become other things by it.
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15),
    # Small batches, so that a few hundred images make enough steps.
    optimisation=OptimisationConfig(epochs=12, batch_size=32, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
