"""The baseline: the paper's convolutional network (section 6)."""

from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from matcaps.model import CapsNetConfig, standardise

FEATURES = 1024
DROPOUT = 0.5


class Output(NamedTuple):
    """The outputs of the network for a batch.

    Attributes:
        logits: [batch, class].
        features: [batch, 1024], the inputs of the last layer.
    """

    logits: Tensor
    features: Tensor


class ConvNet(nn.Module):
    """Conv 5×5, 32 → max 2 → conv 5×5, 64 → max 2 → 1024 → classes, ReLU between; same input as a CapsNet.

    The paper gives about 4.2 million parameters, and does not say whether the convolutions are padded. At 32×32 there
    are 4.25 million with padding and 1.7 million without.

    Args:
        config: Of the CapsNet to compare with; it uses classes, channels and sizes.
    """

    def __init__(self, config: CapsNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_1 = nn.Conv2d(config.channels, 32, 5, padding=2)
        self.conv_2 = nn.Conv2d(32, 64, 5, padding=2)
        self.hidden = nn.Linear(64 * (config.input_size // 4) ** 2, FEATURES)
        self.dropout = nn.Dropout(DROPOUT)
        self.last = nn.Linear(FEATURES, len(config.classes))

    def forward(
        self, images: UInt8[Tensor, "batch channel row column"] | Float[Tensor, "batch channel row column"]
    ) -> Output:
        """Classify images of pixels in 0–255; larger ones are cropped to their centre.

        Raises:
            ValueError: Wrong number of channels, or an image smaller than the crop.
        """
        return self.forward_standardised(standardise(images, self.config, self.last.weight.dtype))

    def forward_standardised(self, pixels: Float[Tensor, "batch channel resolution resolution"]) -> Output:
        """Classify images that ``standardise`` returned."""
        for convolution in (self.conv_1, self.conv_2):
            pixels = functional.max_pool2d(functional.relu(convolution(pixels)), 2)
        features = functional.relu(self.hidden(pixels.flatten(1)))
        return Output(self.last(self.dropout(features)), features)


def parameters(network: nn.Module) -> int:
    """The number of parameters of a network.

    >>> from matcaps.model import small_norb
    >>> parameters(ConvNet(small_norb()))
    4253349
    """
    return sum(values.numel() for values in network.parameters())
