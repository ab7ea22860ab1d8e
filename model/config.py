"""What a network is: sizes, classes and the constants of its routing, validated when they are made."""

from dataclasses import dataclass, field, replace
from typing import Literal

SMALL_NORB_CLASSES = ("animal", "human", "airplane", "truck", "car")
DIGIT_CLASSES = tuple("0123456789")

SMALLEST_CROP = 17  # 5×5 stride 2, 3×3 stride 2, 3×3 stride 1: below this the last grid would be empty
SMALLEST_POOLED = 18  # the same with maxima over 2×2 below


@dataclass(frozen=True)
class RoutingConfig:
    """The constants of Procedure 1 (paper, section 3), and three remedies that it does not have.

    Attributes:
        iterations: M-steps; there is an E-step between any two.
        final_inverse_temperature: λ that the schedule λ_t = final · (1 − 0.95^(t+1)) tends to.
        mass: What the cost per unit of a parent is multiplied by. ``absolute`` is the procedure's Σ_i r_ij,
            which differs by a factor of 50 between layers; ``relative`` divides it by what it would be if
            active children were shared out evenly (children / parents), so that one λ fits all layers.
        density_temperature: The E-step divides log-densities by this. At 1 (the procedure) 16-dimensional
            Gaussians assign all but hard, and the gradients of a third iteration explode; at 16 the mean
            over the components takes the place of their sum.
        variance_floor: Lower bound of σ², in units of pose elements squared.
    """

    iterations: int = 3
    final_inverse_temperature: float = 1.0
    mass: Literal["absolute", "relative"] = "relative"
    density_temperature: float = 16.0
    variance_floor: float = 0.01

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"routing needs at least 1 iteration, found iterations={self.iterations}")
        if self.mass not in ("absolute", "relative"):
            raise ValueError(f"mass is 'absolute' or 'relative', found {self.mass!r}")
        for name in ("final_inverse_temperature", "density_temperature", "variance_floor"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive finite number, found {value!r}")

    def inverse_temperature(self, iteration: int) -> float:
        """λ of one iteration, counted from 0.

        >>> round(RoutingConfig(final_inverse_temperature=0.01).inverse_temperature(0), 6)
        0.0005
        """
        return self.final_inverse_temperature * (1.0 - 0.95 ** (iteration + 1))


@dataclass(frozen=True)
class CapsNetConfig:
    """Everything that is needed to build a network, in the paper's letters: A, B, C, D (section 4).

    Attributes:
        classes: Names of the classes, in the order of the labels (E is their number).
        channels: Channels of an image: 1, or 2 for the left and right camera of a stereo pair.
        image_size: Height and width of the images that are handed in, in pixels.
        crop_size: Height and width of the centre crop that the network looks at, in pixels.
        resolution: Height and width that the crop is shrunk to by averaging areas, in pixels; by default it is
            taken as it is.
        pooled_channels: Channels of one more 5×5 convolution at the bottom, whose maxima over 2×2 take the place of
            the other one's stride: together the two that the paper's convolutional network begins with. The
            paper's capsules do without (0): one convolution makes poses out of 5×5 pixels.
        stem_channels: A, channels of the convolution below PrimaryCaps.
        residual_blocks: Blocks between that convolution and PrimaryCaps, each of which adds to its input what two 3×3
            convolutions make of it (He et al., ECCV 2016). The paper does without (0).
        primary_types: B, capsule types of PrimaryCaps.
        conv_types_1: C, capsule types of ConvCaps1.
        conv_types_2: D, capsule types of ConvCaps2.
        batch_norm: Whether the convolutions, the primary poses and the primary activation logits are normalised
            over the batch. The paper does without.
        coordinate_addition: Whether votes for a class carry the place they come from (section 4.1).
        routing: The constants of EM routing, shared by the three routed layers.

    Raises:
        ValueError: A value is out of range; the message names it.
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
            raise ValueError(f"classes must be at least 2 different names, found {self.classes!r}")
        for name in ("channels", "stem_channels", "primary_types", "conv_types_1", "conv_types_2"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, found {value!r}")
        for name in ("pooled_channels", "residual_blocks"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must not be negative, found {value!r}")
        smallest = SMALLEST_POOLED if self.pooled_channels else SMALLEST_CROP
        if not smallest <= self.crop_size <= self.image_size:
            raise ValueError(
                f"crop_size must lie between {smallest} and image_size={self.image_size}, found {self.crop_size!r}"
            )
        if not smallest <= self.input_size <= self.crop_size:
            raise ValueError(
                f"resolution must lie between {smallest} and crop_size={self.crop_size}, found {self.resolution!r}"
            )

    @property
    def input_size(self) -> int:
        """Height and width of what the first layer sees, in pixels."""
        return self.crop_size if self.resolution is None else self.resolution


def small_norb(channels: int = 2) -> CapsNetConfig:
    """The paper's network for smallNORB: A=B=C=D=32, about 317 thousand parameters in stereo."""
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
    """The smallest network that still has every part, for tests: 24×24 images, three classes."""
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
    """The same network with Procedure 1 to the letter: λ → 0.01, absolute mass, no temperature, no norms."""
    routing = replace(config.routing, final_inverse_temperature=0.01, mass="absolute", density_temperature=1.0)
    return replace(config, batch_norm=False, routing=routing)
