"""Which images a run trains on, and which it holds out: by its configuration, or by a released training record."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from matcaps.model import CapsNetConfig
from matcaps.training.config import FOLDER_CHANNELS, FOLDER_CLASSES, TrainConfig
from matcaps.training.data import KNOWN, ImageSet, hold_out, load, select
from matcaps.training.data.formats.folder import class_folders

FOLDER_SHARE = 0.2  # of each class of a folder of images


def split(config: TrainConfig) -> tuple[ImageSet, ImageSet]:
    """Load the images that a run trains on, and those that it holds out.

    Raises:
        ValueError: The data do not fit the network.
        FileNotFoundError: The data are not there.
    """
    data, network = config.data, config.network
    if data.validation is not None:
        _require_the_same_classes(Path(data.name), data.validation)
    images = _load(config, data.name, "--data", _channels_of_folder(config))
    undecided = data.name not in KNOWN and network.channels == FOLDER_CHANNELS
    shape = (images.images.shape[1] if undecided else network.channels, network.image_size, network.image_size)
    if network.classes not in (images.classes, FOLDER_CLASSES):
        raise ValueError(f"{images.name} has the classes {images.classes}, the network {network.classes}")
    if images.images.shape[1:] != shape:
        raise ValueError(f"{images.name} has images {list(images.images.shape[1:])}, the network takes {list(shape)}")
    if "instance" in images.info and data.held_out_instances is None:
        training, held_out = images, images.subset(torch.arange(0))
    elif "instance" in images.info:
        training, held_out = hold_out(images, instances=data.held_out_instances)
    elif data.validation is not None:
        channels: Literal[1, 3] = 3 if images.images.shape[1] == 3 else 1
        training, held_out = images, _load(config, str(data.validation), "--validation", channels)
    elif data.name not in KNOWN:
        training, held_out = hold_out(images, share=FOLDER_SHARE, seed=config.seed)
    else:
        training, held_out = hold_out(images, rows=data.held_out_rows, seed=config.seed)
    training = training.subset(familiar(training, config))
    batch_size = config.optimisation.batch_size
    if len(training) < batch_size:
        raise ValueError(f"{len(training)} training images do not fill one batch of {batch_size}")
    return training, held_out


def _load(config: TrainConfig, name: str, option: str, channels: Literal[1, 3] | None) -> ImageSet:
    """Load the images of a data set, or of a folder that an option names, with these channels."""
    network, skip = config.network, config.data.skip_unreadable
    stereo, size = network.channels == 2, network.image_size
    try:
        return load(name, config.run.root, stereo=stereo, size=size, channels=channels, skip_unreadable=skip)
    except FileNotFoundError as error:
        if name in KNOWN:
            raise
        raise FileNotFoundError(f"{error}; if the pictures moved, name the new place with {option}") from None


def _require_the_same_classes(training: Path, validation: Path) -> None:
    """Compare the class folders of both folders, before any image is read.

    Raises:
        ValueError: They are one folder, or one has a class that the other lacks; the message names it.
    """
    if training.resolve() == validation.resolve():
        raise ValueError(f"the validation folder must be another than the training folder, got {training} twice")
    if not (training.is_dir() and validation.is_dir()):
        return  # loading them says so
    expected, found = class_folders(training), class_folders(validation)
    faults = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("lacks", [name for name in expected if name not in found]),
            ("has besides", [name for name in found if name not in expected]),
        )
        if names
    ]
    if faults:
        raise ValueError(
            f"the validation folder {validation} must have the class folders of {training}, "
            f"{', '.join(expected)}: it {' and '.join(faults)}"
        )


def completed(network: CapsNetConfig, training: ImageSet) -> CapsNetConfig:
    """The network's configuration with the classes and channels of its training images in place of placeholders."""
    classes = training.classes if network.classes == FOLDER_CLASSES else network.classes
    return replace(network, classes=classes, channels=training.images.shape[1])


def _channels_of_folder(config: TrainConfig) -> Literal[1, 3] | None:
    """The channels that the options name for a folder of images; None leaves it to the images.

    Raises:
        ValueError: Two options name different ones.
    """
    named, network = config.data.channels, config.network.channels
    if network == FOLDER_CHANNELS:
        return named
    if named not in (None, network):
        raise ValueError(f"--channels {named} and --network.channels {network} differ; name one of them")
    return 1 if network == 1 else 3


def familiar(images: ImageSet, config: TrainConfig) -> Tensor:
    """Select the images at the elevations and lightings that the run trains on: bool [n]."""
    return select(images, elevation=config.data.elevations, lighting=config.data.lightings)


def held_out_of_record(images: ImageSet, record: dict[str, Any]) -> ImageSet:
    """The images of a training split that were held out, according to an artefact's training record.

    Raises:
        ValueError: None were held out, or the record does not say which.
    """
    # Artefacts released before several instances could be held out name one.
    instances = record.get("held_out_instances", record.get("held_out_instance"))
    rows, seed = record.get("validation_images"), record.get("seed")
    if isinstance(instances, int):
        instances = [instances]
    if "instance" in images.info:
        if isinstance(instances, list) and instances and all(isinstance(instance, int) for instance in instances):
            return hold_out(images, instances=tuple(instances))[1]
    elif isinstance(rows, int) and isinstance(seed, int):
        return hold_out(images, rows=rows, seed=seed)[1]
    raise ValueError(
        f"the training record names no held-out images of {images.name} (protocol: {record.get('protocol')}); "
        "evaluate on the official test split with --split test, or on your own images with --data FOLDER"
    )
