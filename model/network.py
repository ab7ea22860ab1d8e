"""The network of the paper's section 4: pixels in, class capsules out."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from matcaps.model.calibration import Calibration
from matcaps.model.capsules import Capsules, PrimaryCaps, RoutedCaps
from matcaps.model.config import CapsNetConfig
from matcaps.model.pixels import standardise
from matcaps.model.pretrained import contents, read_config, read_weights
from matcaps.model.sources import find_folder
from matcaps.model.windows import Windows


class Prediction(NamedTuple):
    """The network's output for a batch, with the capsules of all layers."""

    logits: Float[Tensor, "batch class"]
    """Of the activations, calibrated; a loss with logarithms takes these."""
    activations: Float[Tensor, "batch class"]
    poses: Float[Tensor, "batch class 4 4"]
    primary_caps: Capsules
    conv_caps_1: Capsules
    conv_caps_2: Capsules
    class_assignments: Float[Tensor, "batch site type class"]
    """Assignments of each capsule of ConvCaps2 in the last iteration; they sum to 1 over classes."""
    pixels: Float[Tensor, "batch channel resolution resolution"]
    """The first layer's input: the crop, standardised."""
    conv_caps_1_assignments: Float[Tensor, "batch parent_site position child_type parent_type"] | None = None
    """R_ij of ConvCaps1 in the last iteration, if asked for."""
    conv_caps_2_assignments: Float[Tensor, "batch parent_site position child_type parent_type"] | None = None
    """R_ij of ConvCaps2 in the last iteration, if asked for."""


class ReceptiveField(NamedTuple):
    """The pixels of the first layer's input that each site of a grid depends on.

    Site n covers ``size`` pixels from ``start`` + n · ``stride`` on; pixels beyond the edge are padding.
    """

    grid: int
    size: int = 1
    stride: int = 1
    start: int = 0

    def above(self, kernel: int, stride: int, padding: int = 0) -> "ReceptiveField":
        """The field of the sites that see ``kernel`` sites of this grid, ``stride`` apart."""
        return ReceptiveField(
            (self.grid + 2 * padding - kernel) // stride + 1,
            self.size + (kernel - 1) * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )

    def centres(self) -> Float[Tensor, " grid"]:
        """Centres of the fields in a row, in pixels."""
        return self.start + torch.arange(self.grid) * self.stride + self.size / 2


class Residual(nn.Module):
    """A residual block: input plus two rounds of ReLU, 3×3 convolution and norm (He et al., ECCV 2016)."""

    def __init__(self, channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm), norm(channels)]
        self.branch = nn.Sequential(*layers)

    def forward(self, features: Float[Tensor, "batch feature row column"]) -> Float[Tensor, "batch feature row column"]:
        added: Tensor = self.branch(features)
        return features + added


class CapsNet(nn.Module):
    """Stem → PrimaryCaps → ConvCaps1 → ConvCaps2 → ClassCaps.

    >>> from matcaps.model import tiny
    >>> network = CapsNet(tiny()).eval()
    >>> prediction = network(torch.zeros(2, 1, 24, 24, dtype=torch.uint8))
    >>> prediction.activations.shape, prediction.poses.shape
    (torch.Size([2, 3]), torch.Size([2, 3, 4, 4]))
    """

    def __init__(self, config: CapsNetConfig) -> None:
        super().__init__()
        self.config = config
        channels, norm = config.channels, nn.BatchNorm2d if config.batch_norm else nn.Identity
        pixels = ReceptiveField(config.input_size)
        if config.pooled_channels:
            channels = config.pooled_channels
            self.pooled = nn.Sequential(
                nn.Conv2d(config.channels, channels, 5, padding=2, bias=not config.batch_norm),
                norm(channels),
                nn.MaxPool2d(2),
                nn.ReLU(),  # after the maxima: the same result from a quarter of the values
            )
            stem = pixels.above(5, 1, padding=2).above(2, 2).above(5, 1, padding=1)
            self.stem = nn.Conv2d(channels, config.stem_channels, 5, padding=1, bias=not config.batch_norm)
        else:
            self.pooled = nn.Sequential()
            stem = pixels.above(5, 2)
            self.stem = nn.Conv2d(channels, config.stem_channels, 5, 2, bias=not config.batch_norm)
        self.stem_norm = norm(config.stem_channels)
        self.residual = nn.Sequential()
        for _ in range(config.residual_blocks):
            self.residual.append(Residual(config.stem_channels, batch_norm=config.batch_norm))
            stem = stem.above(3, 1, padding=1).above(3, 1, padding=1)

        first = stem.above(3, 2)
        second = first.above(3, 1)
        self.fields = {"primary_caps": stem, "conv_caps_1": first, "conv_caps_2": second}

        coordinates = None
        if config.coordinate_addition:
            centres = second.centres() / config.input_size
            coordinates = torch.cartesian_prod(centres, centres)

        self.primary_caps = PrimaryCaps(config.stem_channels, config.primary_types, batch_norm=config.batch_norm)
        # Channels last: convolutions, norms and maxima are faster, and PrimaryCaps needs no copy. Routed layers have
        # weights with five axes, for which this layout does not exist.
        for part in (self.pooled, self.stem, self.residual, self.primary_caps):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.conv_caps_1 = RoutedCaps(
            config.primary_types,
            config.conv_types_1,
            Windows((stem.grid, stem.grid), (3, 3), 2),
            config.routing,
        )
        self.conv_caps_2 = RoutedCaps(
            config.conv_types_1,
            config.conv_types_2,
            Windows((first.grid, first.grid), (3, 3), 1),
            config.routing,
        )
        whole = (second.grid, second.grid)
        self.class_caps = RoutedCaps(
            config.conv_types_2,
            len(config.classes),
            Windows(whole, whole, 1, coordinates),
            replace(config.routing, competition="parents"),  # one position: only classes can compete
            shared=True,
        )
        self.calibration = Calibration()

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> "CapsNet":
        """The network of a released version, on the CPU and in evaluation mode, with its calibration.

        Args:
            source: The folder of the version, or one that ``save_pretrained`` wrote; NAME or NAME/VERSION of a released
                model; or ``user/repo`` of the Hugging Face Hub, which is asked only if nothing local has that name.
            revision: Branch, tag or commit of a repository of the Hub.

        Raises:
            FileNotFoundError: There is no such folder, model or repository, or it lacks a file.
            ValueError: A file is damaged, or the weights do not fit the configuration; one line that names the field.
            ModuleNotFoundError: A repository of the Hub needs the package huggingface_hub.
            OSError: The Hub refused or cannot be reached; one line that says why.
        """
        folder = find_folder(source, revision)
        network = cls(read_config(folder))
        network.load_state_dict(read_weights(folder, network.state_dict()))
        return network.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder, which is made if it is not there.

        Raises:
            ValueError: The network is not of float32.
        """
        files = contents(self.config, self.state_dict())
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)

    def forward(
        self,
        images: UInt8[Tensor, "batch channel row column"] | Float[Tensor, "batch channel row column"],
        *,
        assignments: bool = False,
    ) -> Prediction:
        """Classify images of pixels in 0–255; images larger than the crop are cropped to the centre.

        Args:
            images: A batch.
            assignments: Whether the prediction must have the assignments of ConvCaps1 and ConvCaps2, which are large.

        Raises:
            ValueError: Wrong number of channels, or an image smaller than the crop.
        """
        pixels = standardise(images, self.config, self.stem.weight.dtype)
        return self.forward_standardised(pixels, assignments=assignments)

    def forward_standardised(
        self, pixels: Float[Tensor, "batch channel resolution resolution"], *, assignments: bool = False
    ) -> Prediction:
        """Classify images that ``standardise`` returned; ``assignments`` as in ``forward``."""
        features = functional.relu(self.residual(self.stem_norm(self.stem(self.pooled(pixels)))))
        primary = self.primary_caps.by_site(features)
        routed_1 = self.conv_caps_1(primary, assignments=assignments)
        first = Capsules(routed_1.activation_logits.sigmoid(), routed_1.poses)
        routed_2 = self.conv_caps_2(first, assignments=assignments)
        second = Capsules(routed_2.activation_logits.sigmoid(), routed_2.poses)
        classes = self.class_caps(second, assignments=True)
        logits = self.calibration(classes.activation_logits.squeeze(1))
        return Prediction(
            logits,
            logits.sigmoid(),
            classes.poses.squeeze(1),
            primary,
            first,
            second,
            classes.assignments.squeeze(1),
            pixels,
            # Plain PyTorch always returns assignments; keeping those that nobody asked for would cost memory.
            routed_1.assignments if assignments else None,
            routed_2.assignments if assignments else None,
        )
