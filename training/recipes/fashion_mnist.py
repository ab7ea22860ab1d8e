"""Fashion-MNIST: the network of mnist and a residual block below the capsules (578 thousand parameters).

Command: ``matcaps train fashion-mnist``.
Time: an hour and three quarters on one core of a CPU.
Error: 5.96 % of 10,000 held-out images (95 % interval 5.5 to 6.4). ``model_repository/fashion-mnist/5``.
"""

from dataclasses import replace
from pathlib import Path

from matcaps.model import RoutingConfig, mnist
from matcaps.training.config import (
    AugmentationConfig,
    DataConfig,
    LossConfig,
    OptimisationConfig,
    RunConfig,
    TrainConfig,
)
from matcaps.training.data import FASHION_CLASSES

CONFIG = TrainConfig(
    data=DataConfig("fashion-mnist"),
    network=replace(
        mnist(FASHION_CLASSES),
        pooled_channels=64,
        stem_channels=128,
        residual_blocks=1,
        routing=RoutingConfig(density_temperature=4.0),
    ),
    run=RunConfig(Path("runs/fashion-mnist")),
    augmentation=AugmentationConfig(shift=2, mirror=True),
    optimisation=OptimisationConfig(epochs=22, batch_size=32, average_share=0.1),
    loss=LossConfig(label_smoothing=0.1),
)
