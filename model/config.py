"""Configuration of a network: sizes, classes and the constants of its routing, validated at construction."""

from dataclasses import dataclass, field, replace
from typing import Literal

SMALL_NORB_CLASSES = ("animal", "human", "airplane", "truck", "car")
DIGIT_CLASSES = tuple("0123456789")
CHANNELS = {1: "grey", 2: "a stereo pair", 3: "RGB"}

SMALLEST_CROP = 17  # 5×5 stride 2, 3×3 stride 2, 3×3 stride 1: below this the last grid would be empty
SMALLEST_POOLED = 18  # the same with maxima over 2×2 below


@dataclass(frozen=True)
class RoutingConfig:
    """The constants of Procedure 1 (paper, section 3), and four additions that the paper does not have.

    Attributes:
        iterations: Number of M-steps, with an E-step between any two.
        final_inverse_temperature: Limit of the schedule λ_t = final · (1 − 0.95^(t+1)).
        mass: Factor of a parent's cost. ``absolute`` is the procedure's Σ_i r_ij, which differs by a factor of 50
            between layers. ``relative`` divides it by children / competing parents, the mass of a parent if active
            children were shared evenly. So one λ fits all layers.
        competition: Among which parents the E-step shares a child. ``parents``, the paper's text: among all that it
            votes for, so its assignments sum to 1. ``positions``, the authors' released code: among the parents of
            one type, so its assignments sum to 1 for each type. The class layer is the same in both: each child is
            shared among all classes.
        density_temperature: The E-step divides log-densities by this. At 1, the procedure's value, 16-dimensional
            Gaussians make assignments almost hard, and the gradients of a third iteration explode. At 16 the score
            is the mean over the components instead of their sum.
        variance_floor: Lower bound of σ², in units of pose elements squared.
    """

    iterations: int = 3
    final_inverse_temperature: float = 1.0
    mass: Literal["absolute", "relative"] = "relative"
    density_temperature: float = 16.0
    variance_floor: float = 0.01
    competition: Literal["parents", "positions"] = "parents"

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations}")
        if self.mass not in ("absolute", "relative"):
            raise ValueError(f"mass must be 'absolute' or 'relative', got {self.mass!r}")
        if self.competition not in ("parents", "positions"):
            raise ValueError(f"competition must be 'parents' or 'positions', got {self.competition!r}")
        for name in ("final_inverse_temperature", "density_temperature", "variance_floor"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive finite number, got {value!r}")

    def inverse_temperature(self, iteration: int) -> float:
        """λ of one iteration, counted from 0.

        >>> round(RoutingConfig(final_inverse_temperature=0.01).inverse_temperature(0), 6)
        0.0005
        """
        return self.final_inverse_temperature * (1.0 - 0.95 ** (iteration + 1))

    def competing_types(self, parent_types: int) -> int:
        """How many parent types a child is shared among.

        >>> RoutingConfig().competing_types(32), RoutingConfig(competition="positions").competing_types(32)
        (32, 1)
        """
        return parent_types if self.competition == "parents" else 1


@dataclass(frozen=True)
class CapsNetConfig:
    """The sizes and options that define a network; A, B, C and D are the paper's letters (section 4).

    Attributes:
        classes: Names of the classes, in the order of the labels (their number is E).
        channels: Channels of an image: 1 (grey), 2 (left and right camera of a stereo pair) or 3 (RGB).
        image_size: Height and width of the input images, in pixels.
        crop_size: Height and width of the centre crop that the network uses, in pixels.
        resolution: Height and width after the crop is shrunk by averaging areas, in pixels. By default it is not
            shrunk.
        pooled_channels: Channels of an additional 5×5 convolution at the bottom, with maxima over 2×2 pixels. The
            stem then has no stride. Together they are the two convolutions of the paper's CNN. 0, as in the paper's
            capsule network: none.
        stem_channels: A, channels of the convolution below PrimaryCaps.
        residual_blocks: Number of residual blocks between that convolution and PrimaryCaps, each with two 3×3
            convolutions (He et al., ECCV 2016). 0, as in the paper: none.
        primary_types: B, capsule types of PrimaryCaps.
        conv_types_1: C, capsule types of ConvCaps1.
        conv_types_2: D, capsule types of ConvCaps2.
        batch_norm: Whether the convolutions, the primary poses and the primary activation logits are normalised
            over the batch. The paper has no norms.
        coordinate_addition: Whether votes for a class get the coordinates of their site added (section 4.1).
        routing: The constants of EM routing, shared by the three routed layers.

    Raises:
        ValueError: A value is out of range; the message names the field and the value.
    """

    classes: tuple[str, ...]
    channels: int
    image_size: int
    crop_size: int
    stem_channels: int
    primary_types: int
    conv_types_1: int
    conv_types_2: int
    batch_norm: bool = True
    coordinate_addition: bool = True
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    resolution: int | None = None
    pooled_channels: int = 0
    residual_blocks: int = 0

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be at least 2 different names, got {self.classes!r}")
        if self.channels not in CHANNELS:
            known = ", ".join(f"{number} ({name})" for number, name in CHANNELS.items())
            raise ValueError(f"channels must be one of {known}, got {self.channels!r}")
        for name in ("stem_channels", "primary_types", "conv_types_1", "conv_types_2"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}")
        for name in ("pooled_channels", "residual_blocks"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value!r}")
        smallest = SMALLEST_POOLED if self.pooled_channels else SMALLEST_CROP
        if not smallest <= self.crop_size <= self.image_size:
            raise ValueError(
                f"crop_size must lie between {smallest} and image_size={self.image_size}, got {self.crop_size!r}"
            )
        if not smallest <= self.input_size <= self.crop_size:
            raise ValueError(
                f"resolution must lie between {smallest} and crop_size={self.crop_size}, got {self.resolution!r}"
            )

    @property
    def input_size(self) -> int:
        """Height and width of the first layer's input, in pixels."""
        return self.crop_size if self.resolution is None else self.resolution


def small_norb(channels: int = 2) -> CapsNetConfig:
    """The paper's network for smallNORB: A=B=C=D=32, about 318 thousand parameters in stereo."""
    return CapsNetConfig(
        classes=SMALL_NORB_CLASSES,
        channels=channels,
        image_size=48,
        crop_size=32,
        stem_channels=32,
        primary_types=32,
        conv_types_1=32,
        conv_types_2=32,
    )


def small_norb_small(channels: int = 2) -> CapsNetConfig:
    """The paper's small network for smallNORB: A=64, B=8, C=D=16, about 69 thousand parameters in stereo."""
    return replace(small_norb(channels), stem_channels=64, primary_types=8, conv_types_1=16, conv_types_2=16)


def mnist(classes: tuple[str, ...] = DIGIT_CLASSES) -> CapsNetConfig:
    """A network for 28×28 grey images, MNIST and Fashion-MNIST: A=64, B=8, C=D=16, nothing cropped."""
    return replace(small_norb_small(channels=1), classes=classes, image_size=28, crop_size=28)


def tiny(channels: int = 1) -> CapsNetConfig:
    """A very small network with every part, for tests: 24×24 images, three classes."""
    return CapsNetConfig(
        classes=("circle", "square", "triangle"),
        channels=channels,
        image_size=24,
        crop_size=20,
        stem_channels=4,
        primary_types=2,
        conv_types_1=3,
        conv_types_2=4,
    )


def as_published(config: CapsNetConfig) -> CapsNetConfig:
    """The same network with Procedure 1 as published.

    That is λ → 0.01, absolute mass, no temperature, competition among all parents, and no norms.
    """
    routing = replace(
        config.routing,
        final_inverse_temperature=0.01,
        mass="absolute",
        competition="parents",
        density_temperature=1.0,
    )
    return replace(config, batch_norm=False, routing=routing)
