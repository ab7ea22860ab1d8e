"""The networks that are measured: with the same weights, they differ only in routing function or competition."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.routing.textbook import textbook_routing
from matcaps.model import CapsNet, CapsNetConfig, mnist, small_norb, small_norb_small, tiny
from matcaps.model.capsules import Capsules, RoutedCaps
from matcaps.model.export import export
from matcaps.model.routing.dispatch import route
from matcaps.model.routing.eager import Routed, em_routing

Step = Literal["forward", "training"]
STEPS: tuple[Step, ...] = ("forward", "training")
Competition = Literal["parents", "positions"]
Preset = Literal["small_norb", "small_norb_small", "mnist", "tiny"]
PRESETS: dict[Preset, Callable[[], CapsNetConfig]] = {
    "small_norb": small_norb,
    "small_norb_small": small_norb_small,
    "mnist": mnist,
    "tiny": tiny,
}


@dataclass(frozen=True)
class Implementation:
    """A routing function, and its largest batch by step that fits into 4 GB and takes seconds."""

    routing: Callable[..., Routed]
    largest_batch: dict[Step, int]
    exported: bool = False
    """Whether its exported graph is measured, in onnxruntime: forward only, on the CPU only."""
    competition: Competition = "parents"

    @property
    def steps(self) -> tuple[Step, ...]:
        return ("forward",) if self.exported else STEPS

    def batch(self, step: Step, wanted: int) -> int:
        """The batch that is measured where this one is wanted."""
        return min(wanted, self.largest_batch[step])


UNBOUNDED = 1 << 20
YARDSTICK = "textbook"
DEFAULT = "fused"
IMPLEMENTATIONS = {
    YARDSTICK: Implementation(textbook_routing, {"forward": 8, "training": 4}),
    "plain PyTorch": Implementation(em_routing, {"forward": 8, "training": 8}),
    DEFAULT: Implementation(route, {"forward": UNBOUNDED, "training": UNBOUNDED}),
    "fused, positions": Implementation(route, {"forward": UNBOUNDED, "training": UNBOUNDED}, competition="positions"),
    "textbook, onnxruntime": Implementation(textbook_routing, {"forward": 8}, exported=True),
    "matcaps, onnxruntime": Implementation(route, {"forward": 16}, exported=True),
}
"""By their names in the tables. ``fused`` is the default of ``CapsNet`` on the device; ``fused, positions`` computes
something else, the competition of the authors' released code."""


class RoutedBy(RoutedCaps):
    """A routed layer with the parameters of another layer and another routing function."""

    def __init__(self, layer: RoutedCaps, routing: Callable[..., Routed]) -> None:
        nn.Module.__init__(self)
        self.weights, self.beta_u, self.beta_a = layer.weights, layer.beta_u, layer.beta_a
        self.windows, self.routing = layer.windows, layer.routing
        self.function = routing

    def forward(self, children: Capsules, *, assignments: bool = False) -> Routed:
        return self.function(
            children.poses,
            children.activations,
            self.weights,
            self.beta_u,
            self.beta_a,
            self.windows,
            self.routing,
        )


def build(preset: Preset, name: str, device: str = "cpu") -> CapsNet:
    """The network of a preset with one implementation; its random weights are always the same."""
    implementation = IMPLEMENTATIONS[name]
    return network_of(preset, implementation.routing, implementation.competition).to(device)


def network_of(preset: Preset, routing: Callable[..., Routed], competition: Competition) -> CapsNet:
    """The network of a preset with a routing function and a competition, on the CPU."""
    torch.manual_seed(0)
    config = PRESETS[preset]()
    network = CapsNet(replace(config, routing=replace(config.routing, competition=competition)))
    if routing is not route:
        network.conv_caps_1 = RoutedBy(network.conv_caps_1, routing)
        network.conv_caps_2 = RoutedBy(network.conv_caps_2, routing)
        network.class_caps = RoutedBy(network.class_caps, routing)
    return network


def exported(preset: Preset, name: str) -> onnx.ModelProto:
    """The implementation's graph for onnxruntime."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # warns that torchvision is missing
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # of the exporter, about its own code
        return export(build(preset, name).eval())


def examples(preset: Preset, batch: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Images [batch, channel, row, column] of random pixels, and labels; always the same."""
    config = PRESETS[preset]()
    random = torch.Generator().manual_seed(batch)
    shape = batch, config.channels, config.image_size, config.image_size
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    labels = torch.randint(0, len(config.classes), (batch,), generator=random)
    return images.to(device), labels.to(device)


def prediction(network: CapsNet, images: Tensor) -> Tensor:
    """The class logits in evaluation mode without gradients; timed as ``forward``."""
    network.eval()
    with torch.no_grad():
        logits: Tensor = network(images).logits
    return logits


def training_step(network: CapsNet, images: Tensor, labels: Tensor) -> None:
    """Forward, cross-entropy and backward, without an optimizer step; timed as ``training``."""
    network.train()
    network.zero_grad()
    functional.cross_entropy(network(images).logits, labels).backward()


def action(network: CapsNet, step: Step, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One pass over one batch, which waits for the GPU."""

    def act() -> None:
        if step == "forward":
            prediction(network, images)
        else:
            training_step(network, images, labels)
        if images.is_cuda:
            torch.cuda.synchronize()

    return act
