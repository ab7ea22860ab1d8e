"""Which images a run trains on, and which it never sees because it is judged by them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from matcaps.training.config import FOLDER_CLASSES, TrainConfig
from matcaps.training.data import KNOWN, ImageSet, hold_out, load, select

FOLDER_SHARE = 0.2  # of each class of a folder of pictures is held out


class Fold(NamedTuple):
    """A run of smallNORB among others of its recipe: its seed, and the instance that it never saw."""

    seed: int
    instance: int


def split(config: TrainConfig) -> tuple[ImageSet, ImageSet]:
    """The images that a run trains on, and those that it holds out.

    Raises:
        ValueError: The data do not fit the network.
        FileNotFoundError: The data are not there.
    """
    network = config.network
    images = load(config.data, config.root, stereo=network.channels == 2, size=network.image_size)
    shape = (network.channels, network.image_size, network.image_size)
    if network.classes not in (images.classes, FOLDER_CLASSES):
        raise ValueError(f"{images.name} has the classes {images.classes}, the network {network.classes}")
    if images.images.shape[1:] != shape:
        raise ValueError(f"{images.name} has images {list(images.images.shape[1:])}, the network takes {list(shape)}")
    if "instance" in images.info and config.held_out_instance is None:
        training, held_out = images, images.subset(torch.arange(0))
    elif "instance" in images.info:
        training, held_out = hold_out(images, instance=config.held_out_instance)
    elif config.data not in KNOWN:
        training, held_out = hold_out(images, share=FOLDER_SHARE, seed=config.seed)
    else:
        training, held_out = hold_out(images, rows=config.held_out_rows, seed=config.seed)
    training = training.subset(familiar(training, config))
    if len(training) < config.batch_size:
        raise ValueError(f"{len(training)} images to train on do not fill one batch of {config.batch_size}")
    return training, held_out


def familiar(images: ImageSet, config: TrainConfig) -> Tensor:
    """Which images were taken as those that the run trains on: bool [n]."""
    return select(images, elevation=config.elevations, lighting=config.lightings)


def held_out_folds(configs: Sequence[TrainConfig]) -> list[Fold]:
    """Which instance each run of a recipe is judged by, in their order.

    Raises:
        ValueError: A run held no instance out, two runs of one seed the same, or the seeds different ones.
    """
    found: dict[Fold, Path] = {}
    for config in configs:
        if config.data != "smallnorb" or config.held_out_instance is None:
            raise ValueError(f"{config.run_folder} held nothing out of smallNORB to be judged by")
        fold = Fold(config.seed, config.held_out_instance)
        if fold in found:
            raise ValueError(
                f"{found[fold]} and {config.run_folder} both held out instance {fold.instance}, by seed {fold.seed}"
            )
        found[fold] = config.run_folder
    instances = {instance for _, instance in found}
    for seed in sorted({seed for seed, _ in found}):
        if missing := sorted(instance for instance in instances if (seed, instance) not in found):
            raise ValueError(f"runs of another seed held out {missing}, none of seed {seed} did")
    return list(found)


def unseen(images: ImageSet, record: dict[str, Any]) -> ImageSet:
    """Those of a training split that an artefact's training held out, by its training record.

    Raises:
        ValueError: It held none out, or the record does not say which.
    """
    instance, rows, seed = (record.get(name) for name in ("held_out_instance", "validation_images", "seed"))
    if "instance" in images.info:
        if isinstance(instance, int):
            return hold_out(images, instance=instance)[1]
    elif isinstance(rows, int) and isinstance(seed, int):
        return hold_out(images, rows=rows, seed=seed)[1]
    raise ValueError(
        f"its record names no images of {images.name} that were held out (protocol: {record.get('protocol')}); "
        "judge it by --split test, or by pictures of your own: --data FOLDER"
    )
