"""Capsules, the layer that makes them from features, and the routed layer below which a grid is fixed."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matcaps.model.config import RoutingConfig
from matcaps.model.routing.dispatch import route
from matcaps.model.routing.eager import Routed
from matcaps.model.windows import Geometry, Windows

WEIGHT_NOISE = 0.5  # 4×4 weights start from the identity plus noise of this standard deviation


class Capsules(NamedTuple):
    """The capsules of one layer, with the sites of its grid row by row."""

    activations: Float[Tensor, "batch site type"]
    poses: Float[Tensor, "batch site type 4 4"]


class CapsuleGrid(NamedTuple):
    """The capsules of one layer, at the sites of a grid with any number of rows and columns.

    It is the input of ``ConvCaps`` and ``ClassCaps``. Capsules of your own need the first two fields alone.
    """

    activations: Float[Tensor, "batch row column type"]
    """a, in [0, 1]."""
    poses: Float[Tensor, "batch row column type 4 4"]
    """M, the pose matrices. They have no unit: weights and routing fix their scale."""
    assignments: Float[Tensor, "batch row column position child_type type"] | None = None
    """R_ij of the last iteration, if ``ConvCaps`` was asked for them. Position is a place in the parent's window."""

    def flat(self) -> Capsules:
        """The same capsules with the sites row by row.

        >>> grid = CapsuleGrid(torch.rand(2, 3, 5, 8), torch.randn(2, 3, 5, 8, 4, 4))
        >>> grid.flat().poses.shape
        torch.Size([2, 15, 8, 4, 4])
        """
        return Capsules(self.activations.flatten(1, 2), self.poses.flatten(1, 2))


class PrimaryCaps(nn.Module):
    """The lowest capsules: a pose and an activation for each type, from the features at each place (paper, section 4).

    The pose is linear in the features. The activation is the logistic function of a linear map.

    Args:
        features: Channels of the convolution below (A).
        types: Capsule types (B).
        batch_norm: Whether poses and activation logits are normalised over the batch. The paper has no norms.

    Raises:
        ValueError: A number is below 1, or the features of a call are not [batch, features, rows, columns].

    >>> primary = PrimaryCaps(features=64, types=8)
    >>> capsules = primary(torch.randn(2, 64, 9, 12))
    >>> capsules.activations.shape, capsules.poses.shape
    (torch.Size([2, 9, 12, 8]), torch.Size([2, 9, 12, 8, 4, 4]))
    """

    def __init__(self, features: int, types: int, *, batch_norm: bool = True) -> None:
        super().__init__()
        if min(features, types) < 1:
            raise ValueError(f"PrimaryCaps needs at least 1 feature and 1 type, got {features} and {types}")
        self.types = types
        self.pose = nn.Conv2d(features, types * 16, 1, bias=not batch_norm)
        self.activation = nn.Conv2d(features, types, 1, bias=not batch_norm)
        self.pose_norm = nn.BatchNorm1d(types * 16) if batch_norm else nn.Identity()
        self.activation_norm = nn.BatchNorm1d(types) if batch_norm else nn.Identity()

    def forward(self, features: Float[Tensor, "batch feature row column"]) -> CapsuleGrid:
        activations, poses = self.by_site(features)
        grid = features.shape[2:]
        return CapsuleGrid(activations.unflatten(1, grid), poses.unflatten(1, grid))

    def by_site(self, features: Float[Tensor, "batch feature row column"]) -> Capsules:
        """The same capsules with the sites row by row."""
        channels = self.pose.in_channels
        if features.dim() != 4 or features.shape[1] != channels:
            raise ValueError(
                f"PrimaryCaps takes features [batch, {channels}, rows, columns], got {list(features.shape)}"
            )
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


class Parents(nn.Module):
    """The parents of a routed layer: the weights of the votes for them, and their costs.

    Args:
        positions: Places of a window with weights of their own; 1 if all share them.
        child_types: Capsule types below.
        parent_types: Capsule types of this layer.
        routing: The constants of EM routing.
    """

    def __init__(self, positions: int, child_types: int, parent_types: int, routing: RoutingConfig) -> None:
        super().__init__()
        noise = torch.randn(positions, child_types, parent_types, 4, 4)
        self.weights = nn.Parameter(torch.eye(4) + WEIGHT_NOISE * noise)
        self.beta_u = nn.Parameter(torch.zeros(parent_types))
        self.beta_a = nn.Parameter(torch.zeros(parent_types))
        self.routing = routing

    def extra_repr(self) -> str:
        return f"{self.weights.shape[1]} types below, {self.weights.shape[2]} types"

    def fit(self, children: Capsules, windows: Geometry, *, assignments: bool) -> Routed:
        """The parents that EM routing finds for these children, seen through these windows."""
        return route(
            children.poses,
            children.activations,
            self.weights,
            self.beta_u,
            self.beta_a,
            windows,
            self.routing,
            assignments=assignments,
        )


class RoutedCaps(Parents):
    """A layer of parents that EM routing fits to the votes of a layer whose grid is fixed.

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
        super().__init__(1 if shared else windows.positions, child_types, parent_types, routing)
        self.windows = windows

    def forward(self, children: Capsules, *, assignments: bool = False) -> Routed:
        return self.fit(children, self.windows, assignments=assignments)
