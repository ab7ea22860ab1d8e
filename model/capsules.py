"""The capsule layers: PrimaryCaps computes capsules from features, RoutedCaps computes parents from children."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matcaps.model.config import RoutingConfig
from matcaps.model.routing.dispatch import route
from matcaps.model.routing.eager import Routed
from matcaps.model.windows import Windows

WEIGHT_NOISE = 0.5  # 4×4 weights start from the identity plus noise of this standard deviation


class Capsules(NamedTuple):
    """The capsules of one layer."""

    activations: Float[Tensor, "batch site type"]
    poses: Float[Tensor, "batch site type 4 4"]


class PrimaryCaps(nn.Module):
    """Pose and activation of ``types`` capsules from the features at each place (paper, section 4).

    Args:
        features: Channels of the convolution below (A).
        types: Capsule types (B).
        batch_norm: Whether poses and activation logits are normalised over the batch.
    """

    def __init__(self, features: int, types: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.types = types
        self.pose = nn.Conv2d(features, types * 16, 1, bias=not batch_norm)
        self.activation = nn.Conv2d(features, types, 1, bias=not batch_norm)
        self.pose_norm = nn.BatchNorm1d(types * 16) if batch_norm else nn.Identity()
        self.activation_norm = nn.BatchNorm1d(types) if batch_norm else nn.Identity()

    def forward(self, features: Float[Tensor, "batch feature row column"]) -> Capsules:
        poses = self._normalise(self.pose_norm, self.pose(features))
        logits = self._normalise(self.activation_norm, self.activation(features))
        return Capsules(logits.sigmoid(), poses.unflatten(2, (self.types, 4, 4)))

    @staticmethod
    def _normalise(
        norm: nn.Module, features: Float[Tensor, "batch feature row column"]
    ) -> Float[Tensor, "batch site feature"]:
        # BatchNorm1d on [site, feature]: torch 2.13 has wrong gradients of BatchNorm2d in a batch of 1.
        by_site = features.flatten(2).transpose(1, 2)
        normed: Tensor = norm(by_site.flatten(0, 1))
        return normed.view_as(by_site)


class RoutedCaps(nn.Module):
    """A layer of parents that EM routing fits to the votes of the layer below.

    Args:
        child_types: Capsule types below.
        parent_types: Capsule types of this layer.
        windows: Which children each parent sees.
        routing: The constants of EM routing.
        shared: Whether all positions share one weight for each pair of types (the class layer).
    """

    def __init__(
        self,
        child_types: int,
        parent_types: int,
        windows: Windows,
        routing: RoutingConfig,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__()
        positions = 1 if shared else windows.positions
        noise = torch.randn(positions, child_types, parent_types, 4, 4)
        self.weights = nn.Parameter(torch.eye(4) + WEIGHT_NOISE * noise)
        self.beta_u = nn.Parameter(torch.zeros(parent_types))
        self.beta_a = nn.Parameter(torch.zeros(parent_types))
        self.windows = windows
        self.routing = routing

    def forward(self, children: Capsules, *, assignments: bool = False) -> Routed:
        return route(
            children.poses,
            children.activations,
            self.weights,
            self.beta_u,
            self.beta_a,
            self.windows,
            self.routing,
            assignments=assignments,
        )
