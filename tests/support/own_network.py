"""A program of somebody else's: a residual network with capsules in place of its last layer trains a few steps.

mypy checks it in strict mode, and a test runs it against the installed package.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from matcaps.model import CapsuleGrid, ClassCaps, ClassCapsules, ConvCaps, PrimaryCaps


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(2, channels)

    def forward(self, features: Tensor) -> Tensor:
        return features + functional.gelu(self.norm(self.convolution(features)))


class Network(nn.Module):
    """A stem of one's own, and capsules above it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, stride=4), Block(16), Block(16))
        self.primary = PrimaryCaps(16, 4)
        self.capsules = ConvCaps(4, 6, kernel=(3, 2), stride=2)
        self.classes = ClassCaps(6, classes)

    def forward(self, images: Tensor) -> ClassCapsules:
        children: CapsuleGrid = self.primary(self.stem(images))
        parents: CapsuleGrid = self.capsules(children)
        found: ClassCapsules = self.classes(parents, assignments=True)
        return found


def main() -> None:
    """Print the first and the last loss, and the shape of the assignments for images of another size."""
    torch.manual_seed(0)
    labels = torch.arange(24) % 3
    images = 0.3 * torch.randn(24, 3, 32, 40)
    images[torch.arange(24), labels] += 1.0  # each class has a colour
    network = Network(3)
    optimizer = torch.optim.AdamW(network.parameters(), 0.02)
    losses: list[float] = []
    for _ in range(12):
        loss = functional.cross_entropy(network(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found = network.eval()(images[:2, :, :28, :32])  # another size
    assert found.assignments is not None
    print(losses[0], losses[-1], *found.assignments.shape)


if __name__ == "__main__":
    main()
