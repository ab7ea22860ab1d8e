"""Decides the sizes of a network: by its checkpoint, by what it starts from, or by ``--size`` and the pictures."""

from dataclasses import replace
from pathlib import Path

from matcaps.model import CapsNetConfig
from matcaps.training.config import FOLDER_CHANNELS, FOLDER_CLASSES, TrainConfig
from matcaps.training.data.formats.folder import shortest_side
from matcaps.training.engine.start import Start
from matcaps.training.sizes import UNDECIDED, decided, is_undecided, sized_as


def decide_network(config: TrainConfig, start: Start | None, saved: CapsNetConfig | None) -> TrainConfig:
    """The configuration with the sizes of its network, if ``--size`` and the pictures decide them.

    Args:
        config: Of the run, with the absolute path of its folder of images.
        start: What it starts from. Its network is taken with all its options, but for the classes.
        saved: The network of the run's checkpoint if it is resumed.

    Raises:
        ValueError: ``--size large`` is set beside other options of the network's size.
    """
    untouched = config.network == UNDECIDED
    if saved is not None and config.network.channels == FOLDER_CHANNELS and config.data.channels is None:
        config = replace(config, network=replace(config.network, channels=saved.channels))  # decided when it began
    if config.size is None:
        return config
    network = config.network
    if not is_undecided(network):
        if config.size != "small":
            raise ValueError(
                f"--size {config.size} decides the sizes of the network; leave it out, or leave out --network.…"
            )
        return config
    if saved is not None:
        network = saved if config.start_from and untouched else sized_as(network, saved)
    elif start is not None and untouched:
        network = start.network.config
    elif start is not None:
        network = sized_as(network, start.network.config)
    else:
        network = decided(network, config.size, shortest_side(Path(config.data.name)))
    return replace(config, network=replace(network, classes=FOLDER_CLASSES))
