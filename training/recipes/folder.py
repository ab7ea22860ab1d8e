"""Your own images, one folder per class: a network for single images (118 thousand parameters, or 342).

Command: ``matcaps train folder --data FOLDER [--size large]``. A fifth of each class is held out. The network takes
RGB images if any of yours is coloured, otherwise grey ones; ``--channels`` decides it by hand.
Time and error depend on the images; none were measured.
"""

from pathlib import Path

from matcaps.training.config import (
    AugmentationConfig,
    DataConfig,
    LossConfig,
    OptimisationConfig,
    RunConfig,
    TrainConfig,
)
from matcaps.training.sizes import UNDECIDED

CONFIG = TrainConfig(
    data=DataConfig("FOLDER"),
    network=UNDECIDED,
    run=RunConfig(Path("runs/folder")),
    # Neither bent nor mirrored: some things become other things by it.
    augmentation=AugmentationConfig(brightness=63.0, contrast=(0.2, 1.8), warp=0.15),
    # Small batches, so that a few hundred images make enough steps.
    optimisation=OptimisationConfig(epochs=12, batch_size=32, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
    size="small",
)
