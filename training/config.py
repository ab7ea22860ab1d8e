"""The options of a training run, as nested dataclasses that are validated at construction."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError
from tyro.conf import OmitArgPrefixes, arg

from matcaps.model import CapsNetConfig
from matcaps.training.data import KNOWN
from matcaps.training.paths import NameOrFolder

FOLDER_CLASSES = ("first", "second")  # placeholders, replaced by the names of the class folders when a run starts
FOLDER_CHANNELS = 2  # a placeholder too: a folder holds no stereo pairs
STRONGEST_ELASTIC = 2.0  # pixels: at 2.0 one image in ten has a fold somewhere, at 1.5 one in a hundred


@dataclass(frozen=True)
class DataConfig:
    """Which images the run trains on, and which it holds out."""

    name: Annotated[NameOrFolder, arg(name="data")]
    """smallnorb, mnist, fashion-mnist, or the path of a folder with one folder of images per class"""
    held_out_instances: tuple[int, ...] | None = (4,)
    """smallNORB: instances of each category to hold out (of 4, 6, 7, 8, 9); None, for a final model, holds out none"""
    elevations: tuple[int, ...] = ()
    """smallNORB: the elevations to train on, from 0 (low) to 8; all if empty. The logged error is of the same ones"""
    lightings: tuple[int, ...] = ()
    """smallNORB: the lightings to train on, from 0 to 5; all if empty"""
    held_out_rows: int = 10_000
    """MNIST, Fashion-MNIST: number of images to hold out, drawn by the seed; your own images: a fifth of each class"""
    validation: Path | None = None
    """your own images: a folder with the same class folders, whose images are held out instead of a fifth"""
    skip_unreadable: bool = False
    """your own images: go on without the files that cannot be read; each is named"""

    channels: Literal[1, 3] | None = None
    """your own images: 1 makes all of them grey, 3 RGB; by default RGB if any of them is coloured"""

    def __post_init__(self) -> None:
        _at_least_one(held_out_rows=self.held_out_rows)
        if self.channels is not None and self.name in KNOWN:
            raise ValueError(f"channels is for a folder of images, got channels {self.channels} with {self.name}")
        if self.held_out_instances is not None:
            if not self.held_out_instances:
                raise ValueError("held_out_instances names no instance; to hold out none, write None; got ()")
            if len(set(self.held_out_instances)) < len(self.held_out_instances):
                raise ValueError(f"held_out_instances must differ, got {', '.join(map(str, self.held_out_instances))}")
            # The order means nothing, so that runs with another order are the same recipe.
            object.__setattr__(self, "held_out_instances", tuple(sorted(self.held_out_instances)))
        if self.validation is not None and self.name in KNOWN:
            raise ValueError(f"validation is for your own images, but data is {self.name}; got {self.validation}")
        if self.elevations and self.lightings:
            raise ValueError(
                f"name elevations or lightings, not both; got elevations {self.elevations} and "
                f"lightings {self.lightings}"
            )


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of the training images; all but hue and saturation change all channels alike."""

    brightness: float = 0.0
    """largest random shift of all pixels, in grey levels"""
    contrast: tuple[float, float] = (1.0, 1.0)
    """range of the random factor by which pixels move away from their mean"""
    hue: float = 0.0
    """RGB: largest random rotation of the hues, in degrees, either way; the luma stays"""
    saturation: tuple[float, float] = (1.0, 1.0)
    """RGB: range of the random factor by which colours move away from grey"""
    shift: int = 0
    """largest random shift of an image, in pixels, where nothing is cropped"""
    warp: float = 0.0
    """largest random deviation from the identity of each element of the 2×2 matrix that distorts an image"""
    rotation: float = 0.0
    """largest random rotation, in degrees, either way"""
    elastic: float = 0.0
    """standard deviation of the smooth random displacement of pixels, in pixels"""
    mirror: bool = False
    """mirror every other image"""
    mixup: float = 0.0
    """mixup: α of the Beta distribution that the share of each of two mixed images is drawn from; 0 mixes none"""
    negatives: float = 0.0
    """share of the images replaced by pictures of nothing, whose labels are all zero: even, noise, blobs, shuffled"""

    def __post_init__(self) -> None:
        _not_negative(brightness=self.brightness, shift=self.shift, mixup=self.mixup)
        if not 0.0 < self.contrast[0] <= self.contrast[1]:
            raise ValueError(f"contrast must be a range of positive factors, got {self.contrast}")
        if not 0.0 <= self.hue <= 180.0:
            raise ValueError(f"hue must lie between 0 and 180 degrees, got {self.hue}")
        if not 0.0 <= self.saturation[0] <= self.saturation[1]:
            raise ValueError(f"saturation must be a range of factors of at least 0, got {self.saturation}")
        if not 0.0 <= self.warp < 0.5:
            raise ValueError(f"warp must lie in [0, 0.5), or shapes would fold, got {self.warp}")
        if not 0.0 <= self.rotation <= 180.0:
            raise ValueError(f"rotation must lie between 0 and 180 degrees, got {self.rotation}")
        if not 0.0 <= self.negatives < 1.0:
            raise ValueError(f"negatives must lie in [0, 1), got {self.negatives}")
        if not 0.0 <= self.elastic <= STRONGEST_ELASTIC:
            raise ValueError(
                f"elastic must lie between 0 and {STRONGEST_ELASTIC}, or many shapes would fold, got {self.elastic}"
            )


@dataclass(frozen=True)
class OptimisationConfig:
    """Length, learning rate and weights. Shares are shares of the whole run."""

    epochs: int = 10
    batch_size: int = 32
    """images per step, over all processes together"""
    learning_rate: float = 3e-3
    """highest rate of the one-cycle schedule"""
    warmup_share: float = 0.25
    """share of the run in which the rate rises; it falls as a cosine afterwards"""
    gradient_clip: float = 5.0
    """largest norm of the gradient; larger gradients are scaled down to it"""
    weight_decay: float = 0.0
    """decoupled weight decay of AdamW"""
    average_share: float = 0.0
    """horizon of the average of the weights, as a share of the run; the average is what is released. 0: no average"""

    def __post_init__(self) -> None:
        _at_least_one(epochs=self.epochs, batch_size=self.batch_size)
        _positive(learning_rate=self.learning_rate, gradient_clip=self.gradient_clip)
        _not_negative(weight_decay=self.weight_decay)
        _proper_share(warmup_share=self.warmup_share)
        if not 0.0 <= self.average_share < 1.0:
            raise ValueError(f"average_share must lie in [0, 1), got {self.average_share}")


@dataclass(frozen=True)
class LossConfig:
    """What training minimises."""

    kind: Annotated[Literal["spread", "cross-entropy"], arg(name="loss")] = "cross-entropy"
    """the paper's spread loss, or cross-entropy"""
    label_smoothing: float = 0.0
    """cross-entropy: share of each label that is spread over all classes"""
    first_margin: float = 0.2
    """spread loss: margin at the start"""
    last_margin: float = 0.9
    """spread loss: margin at the end of its rise"""
    margin_share: float = 0.8
    """spread loss: share of the run in which the margin rises linearly"""

    def __post_init__(self) -> None:
        _proper_share(margin_share=self.margin_share)
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if not 0.0 < self.first_margin <= self.last_margin <= 1.0:
            raise ValueError(f"margins must rise within (0, 1], got {self.first_margin} to {self.last_margin}")

    def margin_at(self, share: float) -> float:
        """The margin of the spread loss after a share of the run, in [0, 1]: a linear rise, then constant."""
        risen = min(1.0, share / self.margin_share)
        return self.first_margin + risen * (self.last_margin - self.first_margin)


@dataclass(frozen=True)
class RunConfig:
    """Where the run lies and how it is executed. These options may change when a run is resumed."""

    folder: Annotated[Path, arg(name="run-folder")]
    """folder for checkpoints and logs"""
    root: Path = Path("data")
    """folder that holds the data sets, one folder each"""
    resume: bool = False
    """continue the run in the folder from its last checkpoint"""
    precision: Literal["mixed", "float32"] = "mixed"
    """mixed: bfloat16 below routing, on a GPU and on a CPU with AVX512-BF16; routing is always in float32"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU if there is one"""
    keep_epochs: bool = False
    """keep a checkpoint of every epoch (epoch-1.pt, …), to compare networks at equal errors"""
    checkpoint_minutes: float = 5.0
    """longest time between two checkpoints within an epoch"""


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    data: OmitArgPrefixes[DataConfig]
    network: CapsNetConfig
    run: OmitArgPrefixes[RunConfig]
    augmentation: OmitArgPrefixes[AugmentationConfig] = field(default_factory=AugmentationConfig)
    optimisation: OmitArgPrefixes[OptimisationConfig] = field(default_factory=OptimisationConfig)
    loss: OmitArgPrefixes[LossConfig] = field(default_factory=LossConfig)
    architecture: Literal["capsules", "cnn"] = "capsules"
    """cnn: the paper's convolutional network on the same images; of --network it uses only sizes and channels"""
    seed: int = 0
    """seed of all random draws: held-out images, initial weights, order of the images, augmentation"""
    start_from: Path | None = None
    """start from these weights: the folder of a run or of a released version, or a model.safetensors"""
    size: Literal["small", "large"] | None = None
    """your own images: how many capsules; how large images follows from the pictures. None: both as --network says"""

    def __post_init__(self) -> None:
        if self.size is not None and self.data.name in KNOWN:
            raise ValueError(f"size is for your own images, but data is {self.data.name}; got {self.size}")


_JSON = TypeAdapter(TrainConfig)


def to_json(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON values, which ``from_json`` reads."""
    return dict(_JSON.dump_python(config, mode="json"))


def from_json(saved: dict[str, Any]) -> TrainConfig:
    """The configuration of a checkpoint.

    Raises:
        ValueError: A value is missing or out of range; one line that names the field.
    """
    try:
        return _JSON.validate_python(saved)
    except ValidationError as error:
        raise ValueError(f"the checkpoint's configuration is not one of this version: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first fault that pydantic found, as one line: field, reason, value."""
    fault = error.errors()[0]
    text = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return text if fault["type"] in ("missing", "value_error") else f"{text}, got {fault['input']!r}"


def resolved(config: TrainConfig) -> TrainConfig:
    """The same configuration with the absolute paths of its folders of images, and of the run that it starts from."""
    if config.start_from is not None:
        config = replace(config, start_from=config.start_from.resolve())
    data = config.data
    if data.name in KNOWN:
        return config
    validation = None if data.validation is None else data.validation.resolve()
    return replace(config, data=replace(data, name=str(Path(data.name).resolve()), validation=validation))


def at(config: TrainConfig, folder: str, validation: Path | None = None) -> TrainConfig:
    """The same configuration with other places of its folder of images, and of its validation folder if it has one."""
    data = replace(config.data, name=folder)
    if data.validation is not None and validation is not None:
        data = replace(data, validation=validation)
    return resolved(replace(config, data=data))


def differences(one: TrainConfig, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The options that differ between two runs, with both values; those of ``run`` do not count."""
    ones, others = _options(one), _options(other)
    return {name: (ones[name], others[name]) for name in sorted(ones) if ones[name] != others[name]}


def _options(config: TrainConfig) -> dict[str, Any]:
    """The options that define a run, by their names on the command line."""
    saved = to_json(config)
    data, loss, network = saved["data"], saved["loss"], saved["network"]
    del data["channels"]  # decided by the time a run is saved; the network has the result
    routing = network.pop("routing")
    return {
        "architecture": saved["architecture"],
        "seed": saved["seed"],
        "start_from": saved["start_from"],
        "data": data.pop("name"),
        "loss": loss.pop("kind"),
        **data,
        **loss,
        **saved["augmentation"],
        **saved["optimisation"],
        **{f"network.{name}": value for name, value in network.items()},
        **{f"network.routing.{name}": value for name, value in routing.items()},
    }


def _at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0.0:
            raise ValueError(f"{name} must be above 0, got {value}")


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0.0:
            raise ValueError(f"{name} must not be negative, got {value}")


def _proper_share(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
