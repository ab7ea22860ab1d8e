"""What capsules are compared with: the paper's convolutional network (section 6)."""

from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from matcaps.model import CapsNetConfig, standardise

FEATURES = 1024
DROPOUT = 0.5


class Output(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logits: [batch, class].
        features: [batch, 1024], those that the last layer sees.
    """

    logits: Tensor
    features: Tensor


class ConvNet(nn.Module):
    """Conv 5×5, 32 → max 2 → conv 5×5, 64 → max 2 → 1024 → classes, ReLU between; it sees what a CapsNet sees.

    The paper says "about 4.2 million parameters" and not whether its convolutions are padded; with padding there are
    4.25 million at 32×32, without it 1.7.

    Args:
        config: Of the CapsNet that it is compared with: classes, channels and sizes are taken from it.
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
        """Classify images of pixels in 0–255; what is larger than the crop is cropped to its centre.

        Raises:
            ValueError: Wrong number of channels, or an image smaller than the crop.
        """
        return self.forward_standardised(standardise(images, self.config, self.last.weight.dtype))

    def forward_standardised(self, pixels: Float[Tensor, "batch channel resolution resolution"]) -> Output:
        """Classify images that ``standardise`` has made ready."""
        for convolution in (self.conv_1, self.conv_2):
            pixels = functional.max_pool2d(functional.relu(convolution(pixels)), 2)
        features = functional.relu(self.hidden(pixels.flatten(1)))
        return Output(self.last(self.dropout(features)), features)


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns.

    >>> from matcaps.model import small_norb
    >>> parameters(ConvNet(small_norb()))
    4253349
    """
    return sum(values.numel() for values in network.parameters())
