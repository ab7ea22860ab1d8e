"""What a training run is: data, network, loss, rate and length, with one named recipe per data set."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from matcaps.model import CapsNetConfig, RoutingConfig, mnist, small_norb, small_norb_small
from matcaps.training.data import FASHION_CLASSES, KNOWN
from matcaps.training.data.augmentation import Augment

# Options that say where and how fast a run goes, not what it is.
WHERE = frozenset({"resume", "root", "run_folder", "device", "precision", "checkpoint_minutes"})
FOLDER_CLASSES = ("first", "second")  # stand-ins: a folder's own classes take their place


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Whatever is stated as a share is a share of the whole run, however long it is."""

    data: str
    """smallnorb, mnist, fashion-mnist, or the path of a folder that holds one folder of images per class"""
    network: CapsNetConfig
    run_folder: Path
    """folder for checkpoints and logs"""
    architecture: Literal["capsules", "cnn"] = "capsules"
    """cnn is the paper's convolutional network, which sees the same images; of the network's options it has only sizes
    and channels"""
    root: Path = Path("data")
    """folder that holds the data sets, a folder each"""
    resume: bool = False
    """continue the run that stands in the folder, from its last checkpoint"""

    held_out_instance: int | None = 4
    """smallNORB: the instance of each category that is never trained on, of 4, 6, 7, 8 and 9; None trains on all, which
    leaves nothing to judge by: for a final model, whose length other runs have settled"""
    elevations: tuple[int, ...] = ()
    """smallNORB: the elevations to train on, of 0 (low) to 8; all if none are named. While a run
    trains, its held-out error is that of the same elevations; evaluate tells that of the others too"""
    lightings: tuple[int, ...] = ()
    """smallNORB: the lightings to train on, of 0 to 5, in the same way"""
    held_out_rows: int = 10_000
    """MNIST and Fashion-MNIST: the number of images that are never trained on, drawn by the seed; of a folder of
    pictures it is a fifth of each class"""
    seed: int = 0

    epochs: int = 10
    batch_size: int = 32
    """images per step, over all processes together"""
    learning_rate: float = 3e-3
    """highest rate of the one-cycle schedule"""
    warmup_share: float = 0.25
    """share of the run in which the rate rises; it falls as a cosine for the rest"""
    gradient_clip: float = 5.0
    """largest norm of the gradient that a step is taken with"""
    weight_decay: float = 0.0
    """share of each weight that a step at rate 1 would take away, apart from the gradient (AdamW)"""
    average_share: float = 0.0
    """share of the run that the weights are averaged over, exponentially: what is judged and released is the average;
    0: the last weights are"""

    loss: Literal["spread", "cross-entropy"] = "cross-entropy"
    label_smoothing: float = 0.0
    """cross-entropy: share of each label that is spread over all classes"""
    first_margin: float = 0.2
    """spread loss: margin at the start"""
    last_margin: float = 0.9
    """spread loss: margin at the end of its rise"""
    margin_share: float = 0.8
    """spread loss: share of the run in which the margin rises, linearly"""

    brightness: float = 32.0
    """largest random shift of all pixels, in grey levels"""
    contrast: tuple[float, float] = (0.5, 1.5)
    """range of the random factor of contrast"""
    shift: int = 0
    """largest random shift of an image, in pixels, where nothing is cropped"""
    warp: float = 0.0
    """largest random deviation of the 2×2 matrix that an image is seen through from the identity, by element"""
    rotation: float = 0.0
    """largest random angle that an image is turned by, either way, in degrees"""
    elastic: float = 0.0
    """standard deviation of the smooth random field that bends images, in pixels"""
    mirror: bool = False
    """every other image is seen in a mirror"""
    mixup: float = 0.0
    """α of the Beta distribution that shares are drawn from, by which two images are mixed; 0: none are"""

    precision: Literal["mixed", "float32"] = "mixed"
    """mixed: between the standardised pixels and routing, steps reckon in bfloat16 on a GPU, and on a CPU that has
    AVX512-BF16, which is faster; routing is in float32 always"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep_epochs: bool = False
    """keep a checkpoint of every epoch, epoch-1.pt and so on, to compare networks where they err equally"""
    checkpoint_minutes: float = 5.0
    """longest time between two checkpoints within an epoch"""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "held_out_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        for name in ("warmup_share", "margin_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, found {getattr(self, name)}")
        if not 0.0 <= self.average_share < 1.0:
            raise ValueError(f"average_share must lie in [0, 1), found {self.average_share}")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must lie in [0, 1), found {self.label_smoothing}")
        if not 0.0 < self.first_margin <= self.last_margin <= 1.0:
            raise ValueError(f"margins must rise within (0, 1], found {self.first_margin} to {self.last_margin}")
        for name in ("weight_decay", "mixup"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")
        if self.elevations and self.lightings:
            raise ValueError("name elevations or lightings, not both: a comparison needs the rest of one of them")
        self.augment()  # checks what it is made of

    def augment(self) -> Augment:
        """The random variants of images that the run trains on."""
        return Augment(
            self.network.crop_size,
            self.shift,
            self.brightness,
            self.contrast,
            self.warp,
            self.rotation,
            self.elastic,
            self.mirror,
        )


def _settled(network: CapsNetConfig) -> CapsNetConfig:
    """What held-out images settled (EXPERIMENTS.md): two convolutions with maxima between them, a sharper E-step."""
    return replace(network, pooled_channels=32, routing=RoutingConfig(density_temperature=4.0))


def _seen_whole(network: CapsNetConfig) -> CapsNetConfig:
    """Besides, a crop that toys fit into, shrunk to 32 pixels."""
    return replace(_settled(network), crop_size=42, resolution=32)


def _wider(network: CapsNetConfig) -> CapsNetConfig:
    """Twice the channels below the capsules."""
    return replace(network, pooled_channels=64, stem_channels=128)


_SMALL_NORB = TrainConfig(
    data="smallnorb",
    network=_seen_whole(small_norb()),
    run_folder=Path("runs/smallnorb-stereo"),
    epochs=12,
    batch_size=64,
    brightness=63.0,
    contrast=(0.2, 1.8),
    warp=0.15,
    elastic=1.5,
    mirror=True,
    label_smoothing=0.1,
    average_share=0.1,
)
_SMALL_STEREO = replace(
    _SMALL_NORB, network=_seen_whole(small_norb_small()), run_folder=Path("runs/smallnorb-stereo-small")
)
_DIGITS = TrainConfig(
    data="mnist",
    network=_wider(_settled(mnist())),
    run_folder=Path("runs/mnist"),
    epochs=20,
    shift=2,
    warp=0.2,
    brightness=0.0,
    contrast=(1.0, 1.0),
    label_smoothing=0.1,
    average_share=0.1,
)

RECIPES: dict[str, tuple[str, TrainConfig]] = {
    "smallnorb": (
        "smallNORB, each camera by itself, small network over two convolutions (118 thousand parameters)",
        replace(
            _SMALL_NORB,
            network=_seen_whole(small_norb_small(channels=1)),
            run_folder=Path("runs/smallnorb"),
            epochs=6,  # of twice as many images
        ),
    ),
    "smallnorb-stereo": (
        "smallNORB, stereo pairs, the paper's network over two convolutions (343 thousand parameters)",
        _SMALL_NORB,
    ),
    "smallnorb-stereo-small": (
        "smallNORB, stereo pairs, the paper's small network over two convolutions (119 thousand parameters)",
        _SMALL_STEREO,
    ),
    "smallnorb-elevation": (
        "the same network for the three lowest elevations alone: how does it do at the six others?",
        replace(
            _SMALL_STEREO,
            run_folder=Path("runs/smallnorb-elevation"),
            elevations=(0, 1, 2),
            epochs=24,
            batch_size=32,  # of a third of the pictures
            elastic=0.0,
        ),
    ),
    "mnist": ("MNIST", _DIGITS),
    "fashion-mnist": (
        "Fashion-MNIST, two convolutions and a residual block below the capsules (578 thousand parameters)",
        replace(
            _DIGITS,
            data="fashion-mnist",
            network=replace(_wider(_settled(mnist(FASHION_CLASSES))), residual_blocks=1),
            run_folder=Path("runs/fashion-mnist"),
            epochs=22,
            warp=0.0,
            mirror=True,
        ),
    ),
    "folder": (
        "pictures of your own, one folder per class: --data FOLDER",
        replace(
            _SMALL_NORB,
            data="pictures",
            network=replace(_seen_whole(small_norb_small(channels=1)), classes=FOLDER_CLASSES),
            run_folder=Path("runs/folder"),
            batch_size=32,  # even a few hundred pictures make some steps
            elastic=0.0,  # some things are others when they are bent,
            mirror=False,  # or seen in a mirror
        ),
    ),
}


def restore(saved: dict[str, Any]) -> TrainConfig:
    """The configuration that a checkpoint holds as JSON."""
    network = dict(saved["network"])
    network["classes"] = tuple(network["classes"])
    network["routing"] = RoutingConfig(**network["routing"])
    values = {**saved, "network": CapsNetConfig(**network)}
    for name in ("contrast", "elevations", "lightings"):
        values[name] = tuple(saved.get(name, ()))
    return TrainConfig(**{**values, "run_folder": Path(saved["run_folder"]), "root": Path(saved["root"])})


def plain(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON knows it, which ``restore`` reads."""
    return dict(json.loads(json.dumps(asdict(config), default=str)))


def resolved(config: TrainConfig) -> TrainConfig:
    """The same with the whole path of its folder of pictures, wherever it is asked from."""
    return config if config.data in KNOWN else replace(config, data=str(Path(config.data).resolve()))


def changed(saved: dict[str, Any], config: TrainConfig) -> list[str]:
    """The options that differ from those of a saved run, but for those that say where and how fast it runs."""
    before, current = (
        plain(resolved(restore(saved))),
        plain(resolved(config)),
    )  # options that are newer than the run have their defaults
    return [
        f"{name} was {before[name]}, now {current[name]}"
        for name in sorted(current.keys() - WHERE)
        if before[name] != current[name]
    ]
